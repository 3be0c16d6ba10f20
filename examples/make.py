"""Make superstore.csv, and request.json and reply.json of every example.

    python examples/make.py

The requests carry the texts beside them: the calculation as one types it into Tableau, the script
of the table extension, the file of the Prep step. The replies are computed here by calling the
libraries, never by running those texts: they say what a server owes, not what one gave.
"""

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
Columns = dict[str, list[Any]]

PREP_CALL = """
execution_result = clean(pd.DataFrame(_arg1))
return execution_result.to_dict(orient='list') if isinstance(execution_result, pd.DataFrame) \
else execution_result
"""


# The fields that Tableau's sample data has. A category's members, each with a price and a margin.
CATEGORIES = {
    "Furniture": {"Bookcases": (320, 0.02), "Chairs": (420, 0.1), "Tables": (560, -0.06)},
    "Office Supplies": {
        "Appliances": (190, 0.17),
        "Art": (28, 0.24),
        "Binders": (110, 0.15),
        "Paper": (45, 0.42),
        "Storage": (210, 0.09),
    },
    "Technology": {
        "Accessories": (180, 0.25),
        "Copiers": (1800, 0.36),
        "Machines": (1300, 0.03),
        "Phones": (310, 0.14),
    },
}
ORDERS = 400


def superstore() -> pd.DataFrame:
    """Orders of a shop that isn't there, with the fields of Tableau's sample data."""
    random = np.random.default_rng(11)
    members = [
        (category, name, *about)
        for category, group in CATEGORIES.items()
        for name, about in group.items()
    ]
    rows = []
    for number in range(1, ORDERS + 1):
        category, name, price, margin = members[random.integers(len(members))]
        quantity = int(random.integers(1, 10))
        discount = float(random.choice([0.0, 0.0, 0.1, 0.2, 0.3]))
        sales = price * quantity * (1 - discount) * random.uniform(0.7, 1.3)
        profit = sales * (margin + 0.1 - discount + random.normal(0, 0.05))
        rows.append(
            {
                "Row ID": number,
                "Order Date": date(2026, 1, 1) + timedelta(days=int(random.integers(365))),
                "Region": str(random.choice(["Central", "East", "South", "West"])),
                "Category": category,
                "Sub-Category": name,
                "Sales": round(sales, 2),
                "Quantity": quantity,
                "Discount": discount,
                "Profit": round(profit, 2),
            }
        )
    orders = pd.DataFrame(rows)
    orders.to_csv(HERE / "superstore.csv", index=False, lineterminator="\n")
    return orders


def by_sub_category() -> pd.DataFrame:
    """What Tableau sends of it with Sub-Category in the view."""
    groups = superstore().groupby("Sub-Category")
    return pd.DataFrame(
        {
            "sales": groups["Sales"].sum(),
            "profit": groups["Profit"].sum(),
            "discount": groups["Discount"].mean(),
        }
    )


def superstore_ratio() -> None:
    marks = by_sub_category()
    expected = [round(p / s, 3) for p, s in zip(marks.profit, marks.sales, strict=True)]
    data = arguments(marks.profit, marks.sales)
    write("superstore-ratio", calculation("superstore-ratio"), data, expected)


def superstore_segments() -> None:
    marks = by_sub_category()
    found = KMeans(3, n_init=10, random_state=0).fit(StandardScaler().fit_transform(marks.values))
    means = marks.groupby(found.labels_)["sales"].mean().rank()
    expected = [int(means[label]) for label in found.labels_]
    data = arguments(marks.sales, marks.profit, marks.discount)
    write("superstore-segments", calculation("superstore-segments"), data, expected)


def superstore_discount() -> None:
    marks = by_sub_category()
    shares, discounts = marks.profit / marks.sales, marks[["discount"]].to_numpy()
    expected = LinearRegression().fit(discounts, shares).predict(discounts).tolist()
    data = arguments(shares, marks.discount)
    write("superstore-discount", calculation("superstore-discount"), data, expected)


def ratio() -> None:
    diabetes = load_diabetes(scaled=False)
    ldl, hdl = (diabetes.data[:60, diabetes.feature_names.index(name)] for name in ("s2", "s3"))
    write("ratio", calculation("ratio"), arguments(ldl, hdl), (ldl / hdl).tolist())


def dbscan() -> None:
    petals = load_iris().data[:, 2:]
    radius = 0.25
    clusters = DBSCAN(eps=radius, min_samples=5).fit_predict(StandardScaler().fit_transform(petals))
    data = arguments(*petals.T, np.full(len(petals), radius))
    write("dbscan", calculation("dbscan"), data, clusters.tolist())


def outlier() -> None:
    cells = load_breast_cancer(as_frame=True).data[:100]
    cells = cells[["mean radius", "mean texture", "mean smoothness"]].to_numpy()
    model = LocalOutlierFactor(n_neighbors=15).fit(StandardScaler().fit_transform(cells))
    scores = np.negative(model.negative_outlier_factor_)
    write("outlier", calculation("outlier"), arguments(*cells.T), scores.tolist())


def strings() -> None:
    """The alcohol is real; the cellars, the blanks around a name and the nulls are made up."""
    alcohol: list[float | None] = load_wine().data[::4, 0].tolist()
    names = ["Clos de la Forêt", " Weingut Müller", "Château Léoville ", "Bodega Peñín", None]
    cellars = [names[row % len(names)] for row in range(len(alcohol))]
    alcohol[7] = None
    labels = [
        None
        if cellar is None or degrees is None
        else "{}, {}".format(
            cellar.strip().upper(),
            ("léger", "corsé", "très corsé")[int(np.digitize(degrees, [12.5, 13.5]))],
        )
        for cellar, degrees in zip(cellars, alcohol, strict=True)
    ]
    data: Columns = {"_arg1": cellars, "_arg2": alcohol}
    write("strings", calculation("strings"), data, labels)


def table_extension() -> None:
    cancer = load_breast_cancer(as_frame=True)
    measures = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "mean symmetry"]
    cells = cancer.data.loc[:59, measures]
    diagnosis = [str(cancer.target_names[code]) for code in cancer.target[:60]]
    points = PCA(n_components=2).fit_transform(StandardScaler().fit_transform(cells.to_numpy()))
    table: Columns = {"diagnosis": diagnosis} | {name: cells[name].tolist() for name in measures}
    first, second = points.T.tolist()
    reply = {"diagnosis": diagnosis, "first": first, "second": second}
    script = (HERE / "table-extension" / "script.txt").read_text(encoding="utf-8")
    write("table-extension", script, {"_arg1": table}, reply)


def prep() -> None:
    wine = load_wine(as_frame=True)
    wines = wine.data.loc[::2, ["alcohol", "ash", "color_intensity"]]
    ash = wines["ash"].to_numpy(copy=True)
    ash[::20] = np.nan
    classes = wine.target[::2].tolist()
    table: Columns = {name: wines[name].tolist() for name in wines} | {
        "ash": [None if np.isnan(value) else value for value in ash.tolist()],
        "cultivar": [str(wine.target_names[code]) for code in classes],
    }

    ash = np.where(np.isnan(ash), np.nanmedian(ash), ash)
    low, high = np.quantile(ash, [0.25, 0.75])
    reach = 1.5 * (high - low)
    likely = np.flatnonzero((low - reach <= ash) & (ash <= high + reach)).tolist()
    filled = table | {
        "ash": ash.tolist(),
        "cultivar": [("Barolo", "Grignolino", "Barbera")[code] for code in classes],
    }
    reply = {name: [column[row] for row in likely] for name, column in filled.items()}
    script = (HERE / "prep" / "clean_wine.py").read_text(encoding="utf-8") + PREP_CALL
    write("prep", script, {"_arg1": table}, reply)


def calculation(example: str) -> str:
    """The script in a calculation: all between the quotation marks."""
    text = (HERE / example / "calculation.txt").read_text(encoding="utf-8")
    found = re.fullmatch(r'SCRIPT_[A-Z]+\("([^"]*)",[^"]*\)\n', text)
    assert found, f'{example}/calculation.txt is no SCRIPT_...("...", ...)'
    return found[1]


def arguments(*columns: Any) -> Columns:
    """Numpy columns by the names Tableau gives them: _arg1, _arg2, ..."""
    return {f"_arg{number}": column.tolist() for number, column in enumerate(columns, 1)}


def write(example: str, script: str, data: dict[str, Any], reply: object) -> None:
    request = {"script": script, "data": data}
    for name, document in (("request.json", request), ("reply.json", reply)):
        text = readable(document) + "\n"
        (HERE / example / name).write_text(text, encoding="utf-8")


def readable(document: object, margin: str = "") -> str:
    """JSON with each key of an object on a line of its own, and each list on one line."""
    if not isinstance(document, dict):
        return json.dumps(document, ensure_ascii=False, allow_nan=False)
    inner = margin + "  "
    lines = [f"{inner}{json.dumps(key)}: {readable(document[key], inner)}" for key in document]
    return "{\n" + ",\n".join(lines) + f"\n{margin}}}"


if __name__ == "__main__":
    for make in (
        *(superstore_ratio, superstore_segments, superstore_discount),
        *(ratio, dbscan, outlier, strings, table_extension, prep),
    ):
        make()
