"""The file of a script step: names the cultivars, leaves out wines of an unlikely ash content."""

from io import StringIO

import pandas as pd

# These lines have to reach Python as they stand: with a blank put before each of them the first
# column would be called " code", and `set_index` would fail.
CULTIVARS = """\
code,name
class_0,Barolo
class_1,Grignolino
class_2,Barbera
"""


def unlikely(column: pd.Series) -> pd.Series:
    """Where a value is more than 1.5 interquartile ranges away from the quartiles."""
    low, high = column.quantile([0.25, 0.75])
    reach = 1.5 * (high - low)
    return ~column.between(low - reach, high + reach)


def clean(wines: pd.DataFrame) -> pd.DataFrame:
    # Prep sends a missing measure as null, which a data frame holds as NaN.
    wines["ash"] = wines["ash"].fillna(wines["ash"].median())
    names = pd.read_csv(StringIO(CULTIVARS)).set_index("code")["name"]
    wines["cultivar"] = wines["cultivar"].map(names)
    return wines[~unlikely(wines["ash"])]
