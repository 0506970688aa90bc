"""Training speed compared with plain PyTorch and d3rlpy's DiscreteCQL, on the same transitions.

    cargo build --release --workspace --example training_speed
    python3 -m venv target/bench-python && target/bench-python/bin/pip install -r trainer/bench/requirements.txt
    target/bench-python/bin/python trainer/bench/training_speed.py target/release/examples/training_speed

All train an MLP with hidden layers of 64 and 64 on relabelled sessions of the simulator, 3 models, Adam, a target network, and CQL(H) with
alpha 0.1. Ours and PyTorch's loop have the same loss: two heads (quality and spend to go), double-Q targets with a
masked maximum and the price of money, Huber. d3rlpy has one head and no mask, so it does less. Contenders run
alternately, one process each, and every round gives ratios; medians and ranges over the rounds are printed. Wall-clock
ratios need an idle machine; with one thread, ratios per CPU second are valid on a busy one too.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time

WIDTHS = (64, 64)
ALPHA = 0.1
ROUNDS = 3
STEPS = {256: 4000, 1024: 1500}
STEPS_OF_D3RLPY = {256: 600, 1024: 200}


def load(folder):
    import numpy as np

    shape = json.load(open(f"{folder}/shape.json"))
    floats = lambda name, width: np.fromfile(f"{folder}/{name}.f32", np.float32).reshape(-1, width)
    bytes_ = lambda name, width: np.fromfile(f"{folder}/{name}.u8", np.uint8).reshape(-1, width)
    data = {name: floats(name, shape["features"]) for name in ("states", "next_states")}
    data |= {name: floats(name, 1) for name in ("qualities", "costs", "lambdas")}
    data |= {name: bytes_(name, shape["models"]) for name in ("masks", "next_masks")}
    data |= {name: bytes_(name, 1) for name in ("actions", "terminal")}
    return data, shape["models"]


def timed(steps, step):
    for number in range(steps + steps // 10):
        if number == steps // 10:
            wall, cpu = time.perf_counter(), time.process_time()
        step(number)
    return {"steps": steps, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def pytorch(folder, batch, threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    data, models = load(folder)
    data = {name: torch.from_numpy(values) for name, values in data.items()}
    data["actions"] = data["actions"].long()
    for name in ("masks", "next_masks"):
        data[name] = data[name] == 0
    data["goes_on"] = 1.0 - data["terminal"].float()
    sizes = [data["states"].shape[1], *WIDTHS, 2 * models]
    make = lambda: torch.nn.Sequential(
        *[layer for i, o in zip(sizes, sizes[1:]) for layer in (torch.nn.Linear(i, o), torch.nn.ReLU())][:-1]
    )
    online, target = make(), make()
    target.load_state_dict(online.state_dict())
    adam = torch.optim.Adam(online.parameters(), 1e-3, fused=True)
    rows = len(data["states"])

    def step(number):
        picked = torch.randint(rows, (batch,))
        of = {name: values[picked] for name, values in data.items()}
        with torch.no_grad():
            values = online(of["next_states"])
            scores = values[:, :models] - of["lambdas"] * values[:, models:]
            best = scores.masked_fill(of["next_masks"], -1e9).argmax(1, keepdim=True)
            later = target(of["next_states"])
            quality = of["qualities"] + of["goes_on"] * later[:, :models].gather(1, best)
            cost = of["costs"] + of["goes_on"] * later[:, models:].gather(1, best)
        values = online(of["states"])
        taken = values[:, :models].gather(1, of["actions"])
        spent = values[:, models:].gather(1, of["actions"])
        huber = torch.nn.functional.huber_loss
        soft = values[:, :models].masked_fill(of["masks"], -1e9).logsumexp(1, keepdim=True)
        loss = huber(taken, quality, delta=5.0) + huber(spent, cost, delta=5.0) + ALPHA * (soft - taken).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if number % 500 == 499:
            target.load_state_dict(online.state_dict())

    return timed(STEPS[batch], step)


def d3rlpy_(folder, batch, threads):
    import d3rlpy
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    data, _ = load(folder)
    # Walks follow each other; where one is cut without an end, its last row is taken as one.
    ends = data["terminal"][:, 0] == 1
    ends[:-1] |= ~(data["next_states"][:-1] == data["states"][1:]).all(1)
    ends[-1] = True
    rows = min(len(ends), 300_000)
    ends[rows - 1] = True
    dataset = d3rlpy.dataset.MDPDataset(
        data["states"][:rows], data["actions"][:rows].astype(np.int64), data["qualities"][:rows], ends[:rows].astype(np.float32)
    )
    encoder = d3rlpy.models.VectorEncoderFactory(list(WIDTHS))
    config = d3rlpy.algos.DiscreteCQLConfig(
        batch_size=batch, learning_rate=1e-3, gamma=1.0, alpha=ALPHA, target_update_interval=500, encoder_factory=encoder
    )
    learner = config.create(device=False)
    learner.build_with_dataset(dataset)
    silent = d3rlpy.logging.NoopAdapterFactory()
    steps = STEPS_OF_D3RLPY[batch]
    fit = lambda count: learner.fit(
        dataset, n_steps=count, n_steps_per_epoch=count, show_progress=False, logger_adapter=silent
    )
    fit(steps // 10)
    wall, cpu = time.perf_counter(), time.process_time()
    fit(steps)
    return {"steps": steps, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def measure(command):
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(found.strip().splitlines()[-1])
    return found["steps"] / found["wall_s"], found["steps"] / max(found["cpu_s"], 1e-9)


def main():
    if sys.argv[1] in ("pytorch", "d3rlpy"):
        contender = {"pytorch": pytorch, "d3rlpy": d3rlpy_}[sys.argv[1]]
        print(json.dumps(contender(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
        return
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([binary, "export", folder], check=True)
        print("| batch | threads | contender | steps/s (wall) | steps per CPU s | ours is faster, wall | per CPU s |")
        print("|---|---|---|---|---|---|---|")
        for batch in STEPS:
            for threads in (1, 2):
                rounds = []
                for _ in range(ROUNDS):
                    ours = measure([binary, "run", str(batch), str(threads), str(STEPS[batch])])
                    python = [sys.executable, __file__]
                    others = [measure([*python, name, folder, str(batch), str(threads)]) for name in ("pytorch", "d3rlpy")]
                    rounds.append([ours, *others])
                for at, name in enumerate(("ours", "PyTorch", "d3rlpy")):
                    cells = [f"{statistics.median(round_[at][k] for round_ in rounds):.0f}" for k in (0, 1)]
                    for k in (0, 1):
                        ratios = sorted(round_[0][k] / round_[at][k] for round_ in rounds)
                        cells.append("" if at == 0 else f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
                    print(f"| {batch} | {threads} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
