from madem.data.registry import load_task as load_task
from madem.learn.estimator import MademClassifier as MademClassifier

__version__: str
