"""The comparison with other frameworks: networks, the check before timing, the worker process, ratios."""

import time

import numpy as np
import pytest

from minicnn.models import networks


def test_the_shapes_of_a_description_are_those_of_the_network_built_from_it(programs):
    peer_frameworks = programs("peer_frameworks")
    peer_networks = programs("peer_networks")
    for network in peer_networks.NETWORKS.values():
        weights = peer_networks.draw_weights(network, np.random.default_rng(0))
        model = peer_frameworks.MiniCNN(network, weights, "im2col").model
        entering = [shape for _, shape in peer_networks.shapes(network)]
        assert entering == [model.input_shape, *model.output_shapes[: len(entering) - 1]]


def test_the_first_two_networks_are_those_of_minicnn(programs):
    peer_networks = programs("peer_networks")
    for name, make in (("two-block", networks.two_block), ("four-block", networks.four_block)):
        network = peer_networks.NETWORKS[name]
        model = make().build((network.size, network.size, 3), seed=None)
        weights = peer_networks.draw_weights(network, np.random.default_rng(0))
        assert [weight.shape for weight in weights] == [parameter.shape for parameter in model.parameters]


def test_transposed_weights_give_the_same_numbers_channels_first(programs):
    """A 1x1 convolution, flattening and two dense layers, as einsums in both orders of axes."""
    peer_frameworks = programs("peer_frameworks")
    peer_networks = programs("peer_networks")
    network = peer_networks.Network(4, [("conv", 5, 1, 1, "valid"), ("flatten",), ("dense", 6), ("dense", 1)])
    rng = np.random.default_rng(1)
    k, kb, w1, b1, w2, b2 = weights = peer_networks.draw_weights(network, rng)
    x = rng.random((2, 4, 4, 3), np.float32)
    last = np.einsum("nhwc,co->nhwo", x, k[0, 0]) + kb
    wanted = (last.reshape(2, -1) @ w1 + b1) @ w2 + b2
    k, kb, w1, b1, w2, b2 = peer_frameworks.channels_first(network, weights)
    first = np.einsum("nchw,oc->nohw", x.transpose(0, 3, 1, 2), k[:, :, 0, 0]) + kb[:, None, None]
    np.testing.assert_allclose((first.reshape(2, -1) @ w1.T + b1) @ w2.T + b2, wanted, rtol=1e-4, atol=1e-5)


def test_transposed_weights_of_residual_separable_and_normalization_layers_keep_their_order(programs):
    """Shapes and values tell which weight is which; a separable convolution has two, a normalization four."""
    peer_frameworks = programs("peer_frameworks")
    peer_networks = programs("peer_networks")
    layers = [("residual", [("separable", 4, 3), ("normalize",)], [("bare", 4, 1, 1, "valid")]), ("average",)]
    network = peer_networks.Network(6, [*layers, ("dense", 1)])
    weights = peer_networks.draw_weights(network, np.random.default_rng(0))
    assert [weight.shape for weight in weights] == [
        (3, 3, 3, 1), (1, 1, 3, 4), (4,), (4,), (4,), (4,), (1, 1, 3, 4), (4, 1), (1,)
    ]  # fmt: skip
    transposed = peer_frameworks.channels_first(network, weights)
    np.testing.assert_array_equal(transposed[0][2, 0], weights[0][:, :, 2, 0])
    np.testing.assert_array_equal(transposed[1][3, :, 0, 0], weights[1][0, 0, :, 3])
    assert [weight.shape for weight in transposed[-3:]] == [(4, 3, 1, 1), (1, 4), (1,)]


def test_a_peer_with_other_predictions_ends_the_run(programs):
    peers = programs("peers")
    right = np.linspace(0.2, 0.7, 8)
    peers.check_agreement({"a": right, "b": right + 1e-7, "c": right}, 1e-3)
    wrong = right.copy()
    wrong[3] += 0.01
    for bad in (wrong, right * np.nan, right[::-1]):
        with pytest.raises(SystemExit, match="b gives the logits"):
            peers.check_agreement({"a": right, "b": bad, "c": right}, 1e-3)


def test_a_worker_predicts_trains_and_measures_its_memory_in_a_process_of_its_own(programs, tmp_path):
    peer_frameworks = programs("peer_frameworks")
    peer_networks = programs("peer_networks")
    peers = programs("peers")
    problem = peers.write_problem(tmp_path, "24 channels")
    arrays = np.load(problem)
    weights = [arrays[f"w{i}"] for i in range(len(arrays.files) - 2)]
    here = peer_frameworks.MiniCNN(peer_networks.NETWORKS["24 channels"], weights, "im2col")
    wanted = here.predict(here.prepare(arrays["x"])).ravel()
    notes = []
    with peers.Worker("minicnn im2col", "24 channels", problem) as worker:
        before = peers.answers({"it": worker}, ["predictions", 1], notes)[0]["it"]
        np.testing.assert_allclose(before, wanted, rtol=1e-5, atol=1e-7)
        assert worker.time(["train", 2]) > 0 and worker.time(["predict", 1, 3]) > 0
        after = peers.answers({"it": worker}, ["predictions", 32], notes)[0]["it"]
        assert np.abs(after - before).max() > 1e-4 and not notes
        worker.send(["peak"])
        assert worker.receive() > worker.imported + 10 or np.isnan(worker.imported)
        time.sleep(0.3)
        worker.time(["train", 1])
        assert worker.waited > 0.3 and 0 <= worker.idle < 0.1 * worker.waited


def test_a_peer_that_cannot_run_is_left_out_with_its_reason(programs, tmp_path):
    peers = programs("peers")
    problem = peers.write_problem(tmp_path, "24 channels")
    notes = []
    with peers.Worker("minicnn im2col", "no such network", problem) as worker:
        predictions, running = peers.answers({"a peer": worker}, ["predictions", 32], notes)
    assert not predictions and not running
    assert notes == ["no such network: a peer did not run: KeyError: 'no such network'"]


def test_ratios_are_formed_within_a_round_and_the_fastest_peer_is_named(programs):
    """In the second round the machine has half its speed, in the third a tenth."""
    peer_report, peer_ratios = programs("peer_report"), programs("peer_ratios")
    entry = {
        "network": "two-block", "pixels": 64, "task": "training", "out of turn": 0.0,
        "speeds": {"minicnn fast": [400, 200, 40], "JAX": [100, 50, 10], "PyTorch": [200, 100, 16]},
    }  # fmt: skip
    assert peer_ratios.fastest_peer(entry) == "PyTorch"
    assert peer_ratios.ratio(entry) == 2
    rows = peer_report.summary_table([entry]).splitlines()
    assert rows[2] == "| training | two-block, 64 px | 200 | PyTorch | 100 | 2.00x | 2.00 to 2.50 |"
    assert "| JAX | 50 | 10 to 100 | 4.00x | 4.00 to 4.00 |" in peer_report.speed_table(entry)
