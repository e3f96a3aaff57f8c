"""What a DataNode tells of its table and its columns, for people who read the data without the code."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from markets.engine.dtypes import canonical_token
from markets.engine.text import storable_text
from markets.exceptions import FrameError


def _storable(value: str) -> str:
    if storable_text(value) != value:
        raise ValueError("holds a NUL character or a lone surrogate, which cannot be stored. Remove it.")
    return value


Text = Annotated[str, AfterValidator(_storable)]


class ColumnMetaData(BaseModel):
    """`column_name` equals a column of the frame; `dtype` is one of the tokens of `markets.engine.dtypes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column_name: Text = Field(min_length=1, max_length=63)
    dtype: str = Field(max_length=100)
    label: Text = Field(default="", max_length=250)
    unit: Text = Field(default="", max_length=32, description="What the values are counted in, such as USD or %.")
    description: Text = ""

    @field_validator("dtype")
    @classmethod
    def _known_dtype(cls, value: str) -> str:
        try:
            return canonical_token(value)
        except FrameError as error:
            raise ValueError(str(error)) from error


class TableMetaData(BaseModel):
    """`identifier` is the published name, unique in the installation, by which the data is read without the code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
    description: Text = ""
    data_frequency_id: Text = Field(default="", max_length=32)
