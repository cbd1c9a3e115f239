"""Whether everything that one JSON Schema accepts is accepted by another.

`compare` answers with the differences it finds. No difference means: proven for every document. A difference
with a counterexample means: the engine itself accepts that document by the one schema and refuses it by the
other. A difference without one means that the question is not decided.

``plain``     schemas without references and annotations
``patterns``  regular expressions as automata
``meaning``   what several schemas that hold at once say
``sample``    values that schemas accept
``compare``   the comparison
"""

from mfgroute.schemas.compare import Comparison, Difference, compare

__all__ = ["Comparison", "Difference", "compare"]
