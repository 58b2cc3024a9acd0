from .api import SegMate as SegMate
from .automatic import AutomaticMaskGenerator as AutomaticMaskGenerator
from .core.errors import SegmateError as SegmateError
from .core.images.pictures import as_rgb as as_rgb
from .grounding import GroundingDINO as GroundingDINO
from .io.images import read_image as read_image
from .io.labels import write_labels as write_labels
from .models import get_model as get_model
from .models import list_models as list_models
from .models import load_model as load_model
from .predictor import Predictor as Predictor

__version__: str
