"""Captures are of one thread, and say why they failed."""

import threading

import pytest

from spair.runtime.cuda import CudaError
from spair.runtime.cuda.graphs import capture_graph


def test_what_another_thread_does_breaks_no_capture(gpu, cuda):
    stream, memory = cuda.make_stream(), []

    def allocate():
        with cuda.current():
            memory.append(cuda.allocate(16))

    def enqueue():
        thread = threading.Thread(target=allocate)
        thread.start()
        thread.join()

    graph = capture_graph(stream, enqueue)
    graph.close()
    memory[0].close()
    stream.close()


@pytest.mark.breaks
def test_what_the_own_thread_must_not_do_is_refused(gpu, cuda):
    stream = cuda.make_stream()
    with pytest.raises(CudaError, match="capturing|capture"):
        capture_graph(stream, lambda: cuda.allocate(16).close())
    stream.close()


def test_a_launch_that_fails_says_which_call(gpu, cuda):
    stream = cuda.make_stream()
    graph = capture_graph(stream, lambda: None)
    gpu.fail("cuGraphLaunch", 1)
    with pytest.raises(CudaError, match="^cuGraphLaunch failed: invalid argument$"):
        graph.launch(stream)
    graph.close()
    stream.close()
