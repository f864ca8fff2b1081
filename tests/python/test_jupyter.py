"""Cells of a notebook, run by the kernel that Jupyter runs them with."""

from __future__ import annotations

from jupyter_client.manager import start_new_kernel

CELLS = (
    "import millrace\nfeed = millrace.Feed('sim://?messages=20000&symbols_count=3')",
    "rows = 0\nasync for batch in feed.batches('mbo'):\n    rows += len(batch)",
    "other = millrace.Feed('sim://?messages=20000&symbols_count=3')\n"
    "@other.on(millrace.Trade)\nasync def on_trade(trade): pass\nawait other.run()",
    "plain = sum(len(b) for b in millrace.Feed('sim://?messages=20000&symbols_count=3').batches())",
    "assert rows == plain > 0 and feed.digest == other.digest\nprint(feed.digest)",
)


def test_await_and_plain_loops_in_the_cells_of_a_notebook() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        said: list[dict] = []
        for cell in CELLS:
            reply = client.execute_interactive(cell, timeout=60, output_hook=said.append)
            assert reply["content"]["status"] == "ok", reply["content"]
        texts = [one["content"]["text"] for one in said if one["msg_type"] == "stream"]
        assert len("".join(texts).strip()) == 32
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
