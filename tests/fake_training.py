"""A process that speaks as a training does, at once and without torch.

python fake_training.py [--steps N] [--delay S] [--fail TEXT] [--crash STEP] [--deaf] [--worse]
                        [--estimate]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time

STEPS_PER_EPOCH = 5


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say(**event) -> None:
    write(json.dumps(event))


class Listener:
    def __init__(self, deaf: bool) -> None:
        self.paused = False
        self.order = ""
        if not deaf:
            threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        for line in sys.stdin:
            word = line.strip()
            if word in ("pause", "resume"):
                self.paused = word == "pause"
            else:
                self.order = word
        self.order = "cancel"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--delay", type=float, default=0.005)
    parser.add_argument("--fail", default="")
    parser.add_argument("--crash", type=int, default=-1)
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--worse", action="store_true")
    parser.add_argument("--estimate", action="store_true")
    options, _ = parser.parse_known_args()
    listener = Listener(options.deaf)
    write("a library says hello")
    if options.fail:
        say(event="error", text=options.fail)
        return 1
    epochs = options.steps // STEPS_PER_EPOCH
    say(event="start", steps=options.steps, epochs=epochs, device="cpu", estimate_s=1, memory_mb=9)
    if options.estimate:
        return 0
    for step in range(1, options.steps + 1):
        while listener.paused and not listener.order:
            time.sleep(0.005)
        if listener.order:
            break
        if step == options.crash:
            sys.stderr.write("Segmentation fault (as if)\n")
            sys.stderr.flush()
            os._exit(139)
        time.sleep(options.delay)
        epoch = (step - 1) // STEPS_PER_EPOCH + 1
        say(event="step", step=step, epoch=epoch, loss=1 / step, seconds_left=1.0)
        if step % STEPS_PER_EPOCH == 0:
            say(event="validation", epoch=epoch, loss=1 / step, iou=0.5, ap50=0.4, best=True)
    if listener.order == "cancel":
        return 130
    after = {"ap50": 0.2 if options.worse else 0.8}
    say(event="result", model="mine", path="mine.safetensors", before={"ap50": 0.4}, after=after,
        worse=options.worse, picture="")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
