"""What the interface costs: a contest with its panel, and the same contest without.

    python tools/measure_interface.py [--repeats 3]

Both run in a kernel, where every change of a widget is packed and sent, with the panel drawing as
often as it ever does; seconds are those of training after the first chunk, compilation apart. Ends
with the ratio of the medians.
"""

import argparse
import os
import statistics

from jupyter_client.manager import start_new_kernel

BEGIN = """
import time
import macrokit as mk
from macrokit import ui

benchmark = mk.experiments.predator_prey(400, 20)
learners = (
    mk.experiments.Learner("all forces", "exact", 1.0),
    mk.experiments.Learner("a fifth of the forces", "lifted", 0.2, design="without-replacement"),
)
contest = mk.experiments.Contest(
    benchmark.system, benchmark.closure, benchmark.training, benchmark.validation, learners,
    budgets=(3_000, 6_000, 12_000),
)

def alone():
    begun = None
    for progress in mk.experiments.compare(contest, every=50, seconds=0.2):
        begun = begun or time.perf_counter()
    return time.perf_counter() - begun

def with_panel():
    lab = ui.Lab(contest)
    display(lab)
    begun = []
    lab.run.watch(lambda: begun or (lab.run.progress and begun.append(time.perf_counter())))
    lab.start()
    lab.wait()
    return time.perf_counter() - begun[0]

alone(), with_panel()  # what is compiled once
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    os.environ.pop("MACROKIT_HEADLESS", None)
    kernel, client = start_new_kernel()
    said: list[str] = []

    def hear(message: dict) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
        elif message["msg_type"] == "error":
            raise SystemExit("\n".join(message["content"]["traceback"]))

    try:
        client.execute_interactive(BEGIN, timeout=600, output_hook=hear)
        seconds: dict[str, list[float]] = {"alone": [], "with_panel": []}
        for _ in range(repeats):
            for name, own in seconds.items():
                said.clear()
                code = f"print('took', {name}())"
                client.execute_interactive(code, timeout=600, output_hook=hear)
                own.append(float("".join(said).rpartition("took ")[2]))
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    middle = {name: statistics.median(own) for name, own in seconds.items()}
    for name, own in seconds.items():
        print(f"{name:>10}: {middle[name]:.2f} s of {', '.join(f'{s:.2f}' for s in own)}")
    print(f"the interface costs {middle['with_panel'] / middle['alone'] - 1:+.1%}")


if __name__ == "__main__":
    main()
