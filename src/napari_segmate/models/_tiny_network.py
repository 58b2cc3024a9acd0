"""The embedded network: SAM's structure at a small width, on a light convolutional encoder.

Three parts share one encoder: the embedding (stride 8) that prompts are decoded on, detail features
(stride 4) that sharpen the masks, and dense instance maps (stride 4). The maps serve automatic
segmentation, and they also tell the prompt decoder where the object under a click may lie: two
pixels belong together when their predicted object centres do. A network may have flow maps
(stride 2) besides: then these serve automatic segmentation.

Sources: Kirillov et al., "Segment Anything" (2023), for prompt tokens, two-way transformer and mask
decoder; Neven et al., "Instance segmentation by jointly optimizing spatial embeddings" (2019), for
centre offsets with a learned bandwidth; Ke et al., "Segment anything in high quality" (2023), for
the detail features in the mask decoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.prompt_encoder import PositionEmbeddingRandom
from torch import Tensor, nn
from torch.nn import functional

from napari_segmate.models._light_imports import create_backbone
from napari_segmate.models._tiny_decoder import decode_cells

__all__ = [
    "TinyConfig",
    "TinyFeatures",
    "TinyNetwork",
    "flow_maps",
    "load_tiny",
    "save_tiny",
]

OFFSET_UNIT = 32.0
"""Pixels per unit of the predicted offsets: keeps them near 1 for usual objects."""
FIELD = 512.0
"""Pixels per unit of the positional encoding: fixed, so that crops and images share one scale."""
PRIOR_CHANNELS = 9
COARSE_CHANNELS = 5
"""Maps at stride 4: foreground, distance, offset, bandwidth."""
FLOW_CHANNELS = 4
"""Maps at stride 2: foreground, distance, flow along y and x."""


@dataclass(frozen=True)
class TinyConfig:
    """Widths of the network.

    Parameters
    ----------
    backbone : str
        Name of a timm model with features at strides 4, 8, 16 and 32.
    width : int
        Channels of the embedding and of the prompt tokens; a multiple of 32.
    detail : int
        Channels of the detail features.
    flow : int
        Channels from which the flow maps are made; 0 for a network without them.
    """

    backbone: str = "hgnetv2_b0"
    width: int = 96
    detail: int = 48
    flow: int = 0


@dataclass(frozen=True, eq=False)
class TinyFeatures:
    """What the encoder makes of B images of (H, W) pixels.

    Parameters
    ----------
    embedding : (B, C, H/8, W/8)
        Features that prompts are decoded on.
    detail : (B, D, H/4, W/4)
        Features that sharpen the masks.
    maps : (B, 5 or 21, H/4, W/4)
        Foreground logit, distance to the border (1 deepest inside the object), offset to the
        object's centre (dy, dx, in units of 32 pixels), log of the bandwidth; then, where the
        network has them, the flow maps with the 2 x 2 cells of each cell as channels.
    """

    embedding: Tensor
    detail: Tensor
    maps: Tensor


def flow_maps(maps: Tensor) -> Tensor | None:
    """Return the flow maps (..., 4, H/2, W/2) that maps hold, None where the network has none.

    Foreground logit, distance to the border (1 deepest inside the object), direction towards the
    centre along a path inside the object (dy, dx, of length 1).

    Examples
    --------
    >>> flow_maps(torch.zeros(2, 21, 8, 8)).shape, flow_maps(torch.zeros(2, 5, 8, 8))
    (torch.Size([2, 4, 16, 16]), None)
    """
    if maps.shape[-3] == COARSE_CHANNELS:
        return None
    return functional.pixel_shuffle(maps[..., COARSE_CHANNELS:, :, :], 2)


def _conv(channels_in: int, channels_out: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, 1, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _maps(channels_in: int, channels_out: int) -> nn.Conv2d:
    maps = nn.Conv2d(channels_in, channels_out, 1)
    nn.init.normal_(maps.weight, std=0.01)
    nn.init.zeros_(maps.bias)  # type: ignore[arg-type]
    return maps


class _FlowHead(nn.Module):
    """Flow maps from features of stride 4: (B, C, h, w) to (B, 16, h, w), see `flow_maps`."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(
            _conv(channels_in, 4 * channels, 1), nn.PixelShuffle(2), _conv(channels, channels)
        )
        self.maps = _maps(channels, FLOW_CHANNELS)

    def forward(self, features: Tensor) -> Tensor:
        return functional.pixel_unshuffle(self.maps(self.enlarge(features)), 2)


class _Encoder(nn.Module):
    """Backbone, feature pyramid, detail features and instance maps."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        width, detail = config.width, config.detail
        self.backbone = create_backbone(config.backbone, features_only=True, pretrained=False)
        channels: list[int] = self.backbone.feature_info.channels()
        self.lateral = nn.ModuleList([nn.Conv2d(count, width, 1) for count in channels[1:]])
        self.smooth8 = _conv(width, width)
        self.smooth16 = _conv(width, width, 5, groups=width)
        self.neck = nn.Conv2d(width, width, 1)
        self.detail_lateral = nn.Conv2d(channels[0], detail, 1)
        self.detail_top = nn.Conv2d(width, detail, 1)
        self.detail_smooth = _conv(detail, detail)
        maps = _maps(detail, COARSE_CHANNELS)
        self.head = nn.Sequential(_conv(detail, detail), _conv(detail, detail), maps)
        self.flow = _FlowHead(detail, config.flow) if config.flow else None

    def forward(self, images: Tensor) -> TinyFeatures:
        return self.fuse(self.levels(images))

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the features of the backbone at strides 4, 8, 16 and 32."""
        found: list[Tensor] = self.backbone((images - 116.0) / 58.0)
        return found

    def fuse(self, levels: Sequence[Tensor]) -> TinyFeatures:
        """Return what the pyramid and the heads make of the backbone's features."""
        stride4, *deeper = levels
        level8, level16, level32 = (
            lateral(level) for lateral, level in zip(self.lateral, deeper, strict=True)
        )
        level16 = self.smooth16(level16 + _resize(level32, level16, "nearest"))
        level8 = self.smooth8(level8 + _resize(level16, level8, "nearest"))
        top = _resize(self.detail_top(level8), stride4, "bilinear")
        detail = self.detail_smooth(self.detail_lateral(stride4) + top)
        shared = self.head[0](detail)
        maps = self.head[2](self.head[1](shared))
        if self.flow is not None:
            maps = torch.cat([maps, self.flow(shared)], dim=1)
        return TinyFeatures(self.neck(level8), detail, maps)


def _resize(features: Tensor, like: Tensor, mode: str) -> Tensor:
    align = None if mode == "nearest" else False
    return functional.interpolate(features, size=like.shape[-2:], mode=mode, align_corners=align)


class _Field:
    """Pixel positions and predicted object centres of the images that prompts are drawn on."""

    def __init__(self, maps: Tensor, image_index: Tensor) -> None:
        height, width = maps.shape[-2:]
        # Cell i of a stride-4 map covers pixels 4 i .. 4 i + 3: its centre lies at 4 i + 1.5.
        self.y = torch.arange(height, device=maps.device)[:, None] * 4 + 1.5
        self.x = torch.arange(width, device=maps.device)[None] * 4 + 1.5
        self.centre_y = (self.y + OFFSET_UNIT * maps[:, 2])[image_index]
        self.centre_x = (self.x + OFFSET_UNIT * maps[:, 3])[image_index]
        self.bandwidth = (8 * maps[:, 4].clamp(-3, 3).exp())[image_index]
        self.foreground = maps[:, 0].sigmoid()[image_index]
        self.zeros = torch.zeros_like(self.foreground)
        self.rows = torch.arange(len(image_index), device=maps.device)

    def disc(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (N, h, w) spots of 4 pixels standard deviation at N positions."""
        square = (self.x[None] - _cells(x)) ** 2 + (self.y[None] - _cells(y)) ** 2
        return torch.exp(-square / (2 * 4.0**2))

    def affinity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (N, h, w): how far each pixel shares its object with the pixel at a position."""
        height, width = self.foreground.shape[-2:]
        row = (y / 4).long().clamp(0, height - 1)
        column = (x / 4).long().clamp(0, width - 1)
        at = (self.rows, row, column)
        square = (self.centre_y - _cells(self.centre_y[at])) ** 2
        square = square + (self.centre_x - _cells(self.centre_x[at])) ** 2
        return torch.exp(-square / (2 * _cells(self.bandwidth[at]) ** 2)) * self.foreground

    def boxes(self, boxes: Tensor) -> list[Tensor]:
        """Return filled boxes, affinity with their centres, and spots as large as they are."""
        given = _cells((~torch.isnan(boxes[:, 0])).float())
        x0, y0, x1, y1 = (_cells(side) for side in torch.nan_to_num(boxes).unbind(1))
        inside = torch.sigmoid(self.y - y0) * torch.sigmoid(y1 - self.y)
        inside = inside * torch.sigmoid(self.x - x0) * torch.sigmoid(x1 - self.x)
        size_y, size_x = (y1 - y0).clamp(min=4) / 4, (x1 - x0).clamp(min=4) / 4
        middle_y, middle_x = (y0 + y1) / 2, (x0 + x1) / 2

        def spot(at_y: Tensor, at_x: Tensor) -> Tensor:
            square = ((at_y - middle_y) / size_y) ** 2 + ((at_x - middle_x) / size_x) ** 2
            return torch.exp(-square / 2) * given

        affinity = spot(self.centre_y, self.centre_x) * self.foreground
        return [inside * given, affinity, spot(self.y, self.x)]


def _cells(values: Tensor) -> Tensor:
    return values[:, None, None]


def draw_prompts(
    maps: Tensor,
    image_index: Tensor,
    points: Tensor | None,
    point_labels: Tensor | None,
    boxes: Tensor | None,
    mask_input: Tensor | None,
) -> Tensor:
    """Return (N, 9, H/4, W/4) maps that show the decoder where the prompts are.

    Channels: earlier mask, whether there is one, positive spots, negative spots, affinity with the
    positive and with the negative points, filled box, affinity with the box, spot of the box.
    """
    field = _Field(maps, image_index)
    positive = negative = joined = apart = field.zeros
    if points is not None and point_labels is not None:
        for (x, y), label in zip(points.permute(1, 2, 0), point_labels.T, strict=True):
            spot, affinity = field.disc(x, y), field.affinity(x, y)
            include, exclude = _cells((label == 1).float()), _cells((label == 0).float())
            positive = torch.maximum(positive, spot * include)
            negative = torch.maximum(negative, spot * exclude)
            joined = torch.maximum(joined, affinity * include)
            apart = torch.maximum(apart, affinity * exclude)
    box_maps = [field.zeros] * 3 if boxes is None else field.boxes(boxes)
    drawn = torch.stack([positive, negative, joined, apart, *box_maps], dim=1)
    return torch.cat([_earlier_mask(mask_input, field.zeros), drawn], dim=1)


def _earlier_mask(mask_input: Tensor | None, zeros: Tensor) -> Tensor:
    if mask_input is None:
        return torch.stack([zeros, zeros], dim=1)
    given = (~torch.isnan(mask_input[:, :, :1, :1])).float()
    mask = functional.avg_pool2d(torch.nan_to_num(mask_input), 2)
    return torch.cat([torch.tanh(mask / 4) * given, given.expand_as(mask)], dim=1)


class _Tokens(nn.Module):
    """Prompt tokens as in SAM's prompt encoder, with positions in fixed units."""

    NEGATIVE, POSITIVE, CORNER, PADDING = 0, 1, 2, 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.position = PositionEmbeddingRandom(width // 2)
        self.kind = nn.Embedding(5, width)

    def encode_xy(self, points: Tensor, origin: Tensor) -> Tensor:
        encoded: Tensor = self.position._pe_encoding((points + 0.5 + origin) / FIELD)
        return encoded

    def grid(self, height: int, width: int, origin: Tensor) -> Tensor:
        """Return the (1, C, h, w) positional encoding of the embedding's cells."""
        x = torch.arange(width, device=origin.device) * 8 + 3.5
        y = torch.arange(height, device=origin.device) * 8 + 3.5
        cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return self.encode_xy(cells, origin).permute(2, 0, 1)[None]

    def forward(
        self,
        count: int,
        points: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        origin: Tensor,
    ) -> Tensor:
        kind = self.kind.weight
        tokens = [kind.new_zeros(count, 0, kind.shape[1])]
        if points is not None and point_labels is not None:
            label = point_labels[..., None]
            polarity = torch.where(label == 1, kind[self.POSITIVE], kind[self.NEGATIVE])
            encoded = self.encode_xy(points, origin) + polarity
            tokens.append(torch.where(label == -1, kind[self.PADDING], encoded))
        if boxes is not None:
            corners = torch.nan_to_num(boxes).view(count, 2, 2)
            encoded = self.encode_xy(corners, origin) + kind[self.CORNER : self.CORNER + 2]
            absent = torch.isnan(boxes[:, :1, None])
            tokens.append(torch.where(absent, kind[self.PADDING], encoded))
        return torch.cat(tokens, dim=1)


class _Decoder(nn.Module):
    """SAM's mask decoder at a small width, with drawn prompts and detail features added."""

    MASKS = 4

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        width = config.width
        self.tokens = _Tokens(width)
        self.drawn = nn.Sequential(
            nn.Conv2d(PRIOR_CHANNELS, 32, 2, 2), nn.GELU(), nn.Conv2d(32, width, 1)
        )
        self.sam = MaskDecoder(
            transformer_dim=width,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=width, mlp_dim=2 * width, num_heads=4
            ),
            num_multimask_outputs=self.MASKS - 1,
            iou_head_depth=2,
            iou_head_hidden_dim=width,
        )
        self.detail = nn.Conv2d(config.detail, width // 4, 1)
        self.prior = nn.Conv2d(PRIOR_CHANNELS, width // 4, 3, padding=1)

    def forward(
        self,
        features: TinyFeatures,
        image_index: Tensor,
        prior: Tensor,
        tokens: Tensor,
        grid: Tensor,
    ) -> tuple[Tensor, Tensor]:
        sam = self.sam
        count, (height, width) = len(image_index), features.embedding.shape[-2:]
        source = features.embedding[image_index] + self.drawn(prior)
        outputs = torch.cat([sam.iou_token.weight, sam.mask_tokens.weight])
        queries = torch.cat([outputs[None].expand(count, -1, -1), tokens], dim=1)
        states, source = sam.transformer(source, grid.expand(count, -1, -1, -1), queries)
        source = source.transpose(1, 2).reshape(count, -1, height, width)
        masks = torch.stack(
            [sam.output_hypernetworks_mlps[i](states[:, 1 + i]) for i in range(self.MASKS)], dim=1
        )
        pixels = self._upscale(
            source, self.detail(features.detail)[image_index] + self.prior(prior)
        )
        return torch.einsum("nkc,nchw->nkhw", masks, pixels), sam.iou_prediction_head(states[:, 0])

    def on_one_image(
        self, features: TinyFeatures, prior: Tensor, tokens: Tensor, grid: Tensor, wanted: range
    ) -> tuple[Tensor, Tensor]:
        """Return the wanted masks and scores of prompts on one image, faster than `forward`."""
        source = features.embedding + self.drawn(prior)
        stride4 = self.detail(features.detail) + self.prior(prior)
        return decode_cells(self.sam, source, stride4, tokens, grid, wanted)

    def _upscale(self, source: Tensor, stride4: Tensor) -> Tensor:
        to4, norm, act, to2, last = self.sam.output_upscaling
        pixels: Tensor = last(to2(act(norm(to4(source) + stride4))))
        return pixels


class TinyNetwork(nn.Module):
    """Encoder and prompt decoder of the embedded model.

    Parameters
    ----------
    config : TinyConfig
        Widths.
    """

    def __init__(self, config: TinyConfig | None = None) -> None:
        super().__init__()
        self.config = config or TinyConfig()
        self.encoder = _Encoder(self.config)
        self.decoder = _Decoder(self.config)

    def encode(self, images: Tensor) -> TinyFeatures:
        """Return the features of (B, 3, H, W) float images, 0 to 255, H and W multiples of 32."""
        features: TinyFeatures = self.encoder(images)
        return features

    def decode(
        self,
        features: TinyFeatures,
        *,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return masks of N prompted objects of one image.

        Parameters
        ----------
        features : TinyFeatures
            Of one image (B = 1).
        points : (N, P, 2) float, optional
            (x, y) in pixels of the image.
        point_labels : (N, P) int, optional
            1 includes, 0 excludes, -1 is padding.
        boxes : (N, 4) float, optional
            x0, y0, x1, y1 in pixels; a row of NaN is no box.
        mask_input : (N, 1, H/2, W/2) float, optional
            Logits of an earlier answer; NaN throughout a row is none.
        multimask : bool
            Three candidates, or the one for unambiguous prompts.

        Returns
        -------
        logits : (N, M, H/2, W/2)
            Above 0 inside; M is 3 or 1.
        scores : (N, M)
            Predicted IoU.
        """
        given = next(item for item in (points, boxes, mask_input) if item is not None)
        index = torch.zeros(len(given), dtype=torch.long, device=features.maps.device)
        height, width = features.embedding.shape[-2:]
        # Centred, because training saw positions 0 to 512: a larger image exceeds them least.
        origin = (FIELD - torch.tensor([width * 8.0, height * 8.0])) / 2
        origin = origin.to(features.maps.device)
        prior = draw_prompts(features.maps, index, points, point_labels, boxes, mask_input)
        tokens = self.decoder.tokens(len(given), points, point_labels, boxes, origin)
        grid = self.decoder.tokens.grid(height, width, origin)
        wanted = range(1, self.decoder.MASKS) if multimask else range(1)
        return self.decoder.on_one_image(features, prior, tokens, grid, wanted)

    def decode_indexed(
        self,
        features: TinyFeatures,
        image_index: Tensor,
        points: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        mask_input: Tensor | None,
        origin: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return all four masks and scores of N objects, each of the image that its index names.

        `origin` is the (x, y) position of the images' first pixel in the positional encoding.
        """
        origin = origin.to(features.maps.device)
        prior = draw_prompts(features.maps, image_index, points, point_labels, boxes, mask_input)
        tokens = self.decoder.tokens(len(image_index), points, point_labels, boxes, origin)
        height, width = features.embedding.shape[-2:]
        grid = self.decoder.tokens.grid(height, width, origin)
        logits, scores = self.decoder(features, image_index, prior, tokens, grid)
        return logits, scores


def save_tiny(path: Path, network: TinyNetwork, metadata: Mapping[str, str]) -> None:
    """Write the weights in half precision, with the configuration and `metadata` (safetensors)."""
    state = {
        name: tensor.detach().half().contiguous() if tensor.is_floating_point() else tensor.detach()
        for name, tensor in network.state_dict().items()
    }
    save_file(state, path, {**metadata, "config": json.dumps(asdict(network.config))})


def load_tiny(path: Path) -> TinyNetwork:
    """Return the network that `save_tiny` wrote, in single precision, ready for inference."""
    with safe_open(path, "pt") as file:
        config = TinyConfig(**json.loads((file.metadata() or {})["config"]))
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    network = TinyNetwork(config)
    network.load_state_dict({name: _single(tensor) for name, tensor in state.items()})
    return network.eval()


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
