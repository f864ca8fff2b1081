"""Batches as pandas frames, without pyarrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_UNDEFINED_PRICE = 2**63 - 1
_UNDEFINED_TIME = 2**64 - 1


def pandas_of(
    rows: np.ndarray[Any, np.dtype[Any]],
    record_type: int,
    symbols: Mapping[int, str],
    float_prices: bool,
) -> pd.DataFrame:
    """Columns of records: times as UTC timestamps, undefined ones as NaT, prices as asked."""
    import pandas as pd

    fields, _ = _core.dtype_fields(record_type)
    columns: dict[str, Any] = {}
    for name, _, _, kind in fields:
        if name == "length":
            continue
        columns[name] = _column(rows[name], kind, float_prices)
        if name == "instrument_id":
            codes, uniques = pd.factorize(rows[name])
            columns["symbol"] = pd.Categorical.from_codes(
                codes, categories=pd.Index([symbols.get(int(one)) or str(one) for one in uniques])
            )
    return pd.DataFrame(columns)


def _column(values: Any, kind: str, float_prices: bool) -> Any:
    import numpy as np
    import pandas as pd

    if kind == "price" and float_prices:
        return np.where(values == _UNDEFINED_PRICE, np.nan, values / 1e9)
    if kind == "timestamp":
        times = values.astype("int64")
        times = np.where(values == _UNDEFINED_TIME, np.iinfo("int64").min, times)
        return pd.DatetimeIndex(times.view("datetime64[ns]")).tz_localize("UTC")
    if kind == "text":
        return np.char.decode(values, "latin1")
    return values.copy()
