"""The automatic mask generator that users of ``segment_anything`` know, on any of our models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.grid import filter_proposals, grid_proposals
from napari_segmate.inference.grid_params import GridParams
from napari_segmate.inference.records import OUTPUT_MODES, records
from napari_segmate.models import DEFAULT_MODEL, load_model

__all__ = ["AutomaticMaskGenerator"]


class AutomaticMaskGenerator:
    """Everything in an image, with the options and records of ``SamAutomaticMaskGenerator``.

    Parameters
    ----------
    model : str, Path or Segmenter
        Name of a model, path of a weights file, or a loaded model.
    points_per_side, points_per_batch, pred_iou_thresh, stability_score_thresh, \
stability_score_offset, box_nms_thresh, crop_n_layers, crop_nms_thresh, crop_overlap_ratio, \
crop_n_points_downscale_factor, point_grids, min_mask_region_area
        As upstream; see `napari_segmate.inference.grid_params.GridParams`. The two thresholds
        default to those that suit the scores of the model (`ModelInfo.suggested`), else to
        upstream's 0.88 and 0.95.
    output_mode : {"binary_mask", "uncompressed_rle", "coco_rle"}
        What the records hold as ``segmentation``; none needs ``pycocotools``.
    exact : bool
        The masks of upstream, one for one; otherwise faster, with hardly a mask less.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``; ignored for a loaded model.

    Raises
    ------
    ParameterError
        A value out of its range.

    Examples
    --------
    >>> from napari_segmate.core.pictures import as_rgb
    >>> from napari_segmate.core.synthetic import nuclei
    >>> generator = AutomaticMaskGenerator("tiny", points_per_side=8, pred_iou_thresh=0.7,
    ...     stability_score_thresh=0.8)
    >>> found = generator.generate(as_rgb(nuclei()[0])[:128, :128])
    >>> sorted(found[0])[:3], found[0]["segmentation"].shape
    (['area', 'bbox', 'crop_box'], (128, 128))
    """

    def __init__(
        self,
        model: Any = DEFAULT_MODEL,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float | None = None,
        stability_score_thresh: float | None = None,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[npt.ArrayLike] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        *,
        exact: bool = False,
        device: str = "auto",
    ) -> None:
        if output_mode not in OUTPUT_MODES:
            raise ParameterError(
                f"no output mode {output_mode!r}; choose one of {list(OUTPUT_MODES)}"
            )
        self.output_mode = output_mode
        named = isinstance(model, str | Path)
        self.model: Any = load_model(model, device=device) if named else model
        suits = dict(self.model.info.suggested)
        if pred_iou_thresh is None:
            pred_iou_thresh = suits.get("score", GridParams.pred_iou_thresh)
        if stability_score_thresh is None:
            stability_score_thresh = suits.get("stability", GridParams.stability_score_thresh)
        self.params = GridParams(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=None if point_grids is None else tuple(point_grids),  # type: ignore[arg-type]
            min_mask_region_area=min_mask_region_area,
            exact=exact,
        )
        self._store = EmbeddingStore()

    def generate(
        self, image: npt.NDArray[np.uint8], context: Context | None = None
    ) -> list[dict[str, Any]]:
        """Return everything in an image.

        Parameters
        ----------
        image : (H, W, 3) uint8
            The image, RGB.
        context : Context, optional
            Progress and cancellation.

        Returns
        -------
        list of dict
            See `napari_segmate.inference.records.records`.

        Raises
        ------
        ImageError
            Another shape or type.
        """
        array = np.asarray(image)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
            raise ImageError(
                f"expected (height, width, 3) uint8, got {array.shape} {array.dtype}; "
                "napari_segmate.core.pictures.as_rgb converts other images"
            )
        plane = _Picture(array)
        proposals = grid_proposals(
            plane, self.model, self.params, store=self._store, context=context
        )
        return records(filter_proposals(proposals), plane.shape, self.output_mode)


class _Picture:
    """An image in memory as a plane."""

    def __init__(self, image: RGBImage) -> None:
        self._image = image

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self._image.shape[0], self._image.shape[1]

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of the image as it is; crops are shown at their own size."""
        y0, x0, y1, x1 = box_yx
        assert shape in (None, (y1 - y0, x1 - x0)), "shown at another size"
        return self._image[y0:y1, x0:x1]
