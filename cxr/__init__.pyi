from cxr.api import CxrError as CxrError
from cxr.api import Model as Model
from cxr.api import Result as Result
from cxr.api import load_model as load_model
from cxr.api import screen as screen

__version__: str
