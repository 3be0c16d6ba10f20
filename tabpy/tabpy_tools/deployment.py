"""What `deploy` gives back."""

from dataclasses import dataclass

from tabpy.tabpy_tools.notebook import Code, card


@dataclass(frozen=True, repr=False)
class Deployment:
    """A function that has been deployed, and how to call it.

    `version` is None where the server doesn't tell it. `remarks` are what the server says of it,
    such as packages whose versions differ. `calculation` is what to paste into Tableau, with
    fields of the arguments' names; `script` does the same as a script, which may do more.
    """

    name: str
    version: int | None
    server: str
    calculation: str
    script: str
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [self._title, *(f"  remark: {each}" for each in self.remarks)]
        lines += [f"  {each}" for each in dict.fromkeys((self.calculation, self.script))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        entries = {
            "Remarks": "\n".join(self.remarks),
            "In Tableau": Code(self.calculation),
            "As a script": Code(self.script) if self.script != self.calculation else "",
        }
        return card(self._title, entries)

    @property
    def _title(self) -> str:
        version = "" if self.version is None else f", version {self.version}"
        return f"{self.name}{version}, at {self.server}"
