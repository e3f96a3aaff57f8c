"""What a DataNode tells of its table and its columns, for people who read the data without the code."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from markets.engine.dtypes import canonical_token
from markets.exceptions import FrameError


class ColumnMetaData(BaseModel):
    """`column_name` equals a column of the frame; `dtype` is one of the tokens of `markets.engine.dtypes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column_name: str = Field(min_length=1, max_length=63)
    dtype: str = Field(max_length=100)
    label: str = Field(default="", max_length=250)
    unit: str = Field(default="", max_length=32, description="What the values are counted in, such as USD or %.")
    description: str = ""

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
    description: str = ""
    data_frequency_id: str = Field(default="", max_length=32)
