# What `optimize.reciprocity` exports and where it is: read by type checkers, and by `lazy_loader`.
from .figure import agreement as agreement
from .figure import draw as draw
from .figure import draw_locus as draw_locus
from .figure import draw_near as draw_near
from .figure import draw_outputs as draw_outputs
from .figure import draw_responses as draw_responses
from .figure import inset as inset
from .restored_responses import Outputs as Outputs
from .restored_responses import Responses as Responses
from .restored_responses import in_time as in_time
from .restored_responses import responses as responses
