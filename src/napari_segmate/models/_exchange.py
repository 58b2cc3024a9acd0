"""Own models in the layout of others: SAM's official ``.pth`` out, any weights file in."""

from __future__ import annotations

from pathlib import Path

from napari_segmate.core.errors import CacheError, ModelError, WeightsError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.models._checkpoint import read_checkpoint
from napari_segmate.models._own import FORMAT, check_name, check_version, own_path, write_own
from napari_segmate.models.base import Checkpoint, ModelInfo

__all__ = ["export_official", "import_weights"]


def export_official(source: Path, target: Path, overwrite: bool = False) -> Path:
    """Write a SAM in the layout of its official checkpoints: ``segment_anything`` loads it.

    Parameters
    ----------
    source : Path
        A weights file.
    target : Path
        The ``.pth`` file to write.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    ModelError
        It is no SAM, or the file is there already.
    CacheError
        The disk is full or cannot be written.
    """
    import torch

    from napari_segmate.models._sam_network import build_sam, is_sam

    checkpoint = read_checkpoint(source)
    check_version(source, checkpoint.metadata)
    if not is_sam(checkpoint.state):
        raise ModelError(
            f"{source.name} is no SAM, so SAM's own format cannot hold it; copy the file {source}"
        )
    if target.exists() and not overwrite:
        raise ModelError(f"there is a file {target} already; choose another name")
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in checkpoint.state.items()
    }
    weights = build_sam(state, source.name).state_dict()
    try:
        with replacing(target) as part, part.open("wb") as file:
            torch.save(dict(weights), file)
    except (OSError, RuntimeError) as error:
        raise CacheError(f"{target} cannot be written ({error}); free some space") from error
    return target


def import_weights(
    source: Path, name: str, base: ModelInfo, taken: tuple[str, ...], overwrite: bool = False
) -> Path:
    """Copy a weights file into the user's models.

    Parameters
    ----------
    source : Path
        Weights of any known family, such as SAM's official ``.pth``.
    name : str
        Of the model.
    base : ModelInfo
        What is known about the file, as its loaded model says.
    taken : tuple of str
        Names of models that come along.
    overwrite : bool
        Replace an own model of this name.

    Raises
    ------
    ParameterError
        The name is taken.
    WeightsError
        The file is damaged or newer than this program.
    CacheError
        The disk is full or cannot be written.
    """
    target = own_path(check_name(name, taken, overwrite))
    checkpoint = read_checkpoint(source)
    check_version(source, checkpoint.metadata)
    own = checkpoint.metadata.get("format") == FORMAT
    metadata = dict(checkpoint.metadata) if own else _metadata(checkpoint, base)
    weights = {key: value.clone() for key, value in checkpoint.state.items()}
    if not weights:
        raise WeightsError(f"{source} holds no weights")
    write_own(target, weights, metadata)
    return target


def _metadata(checkpoint: Checkpoint, base: ModelInfo) -> dict[str, str]:
    return {
        **checkpoint.metadata,
        "architecture": base.architecture,
        "base": "",
        "instance_head": "true" if base.instance_head else "false",
        "diameter": f"{base.diameter:g}",
        "summary": f"imported from {checkpoint.path.name}, {base.architecture}",
        "parameters": str(sum(value.numel() for value in checkpoint.state.values())),
    }
