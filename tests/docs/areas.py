"""Areas of the page on what was not verified."""

from __future__ import annotations

from dataclasses import dataclass

ENGINES, PLUGINS, PROVIDER, JETSON, CAMERAS, POWER, PROGRAMS, TRAINING, MACHINES, TRITON, PROCESSORS = (
    "Engines on a GPU",
    "Plugins on GPUs other than an H100",
    "ONNX Runtime's CUDA provider",
    "Jetson",
    "Cameras and streams",
    "Power and energy",
    "Programs whose sources were only read",
    "Training on a GPU",
    "Several machines",
    "Triton on a GPU",
    "Kernels for AVX-512 and VNNI",
)
"""Titles of the areas."""


@dataclass(frozen=True)
class Area:
    """Part of the project that needs a machine which was not at hand."""

    title: str
    unknown: str
    """Sentences on what is not known."""
    known: str
    """Sentences on what is checked in its place."""
    commands: tuple[str, ...]
    """Command lines that verify it, in a clone."""


AREAS = (
    Area(
        ENGINES,
        "No engine has run on a real GPU, neither of TensorRT nor of TensorRT-RTX. So nobody has seen whether engines "
        "restore pictures as ONNX Runtime does, how fast they are, and how memory, streams and CUDA graphs behave. The "
        "command lines of `spair inspect --polygraphy` that run engines have not run either.",
        "Engines of TensorRT-RTX are built, and each node of the network is found in them. The code that runs engines "
        "runs on an emulated GPU, see tests/emulated. `spair build` compares each engine with ONNX Runtime before it "
        "stores it, on a machine that can run it.",
        (
            "spair export rain --out rain.spair",
            "spair build rain.spair --target local",
            "python -m pytest tests/gpu",
            "python -m benchmarks.gpu.latency",
        ),
    ),
    Area(
        PLUGINS,
        "The plugins ran on an H100, without TensorRT ([results](results/gpu.md)). They ran on no other GPU, and in no "
        "engine. The kernels of a bundle's own layers, and the script that spends a quarter of an hour on a GPU, ran "
        "on none.",
        "The code for every architecture is compiled, and checked for spilled registers and known faults of the "
        "compiler; instructions are counted in it. The kernels of layers run in Triton's interpreter.",
        (
            "python -m pytest tests/gpu/plugins",
            "python -m benchmarks.gpu.plugins",
            "python -m benchmarks.gpu.day gpu-day",
        ),
    ),
    Area(
        PROVIDER,
        "`--backend cuda` never ran. So nobody has seen whether ONNX Runtime's CUDA provider takes the graphs and "
        "restores the same pictures.",
        "The refusals are tested with a provider that gives a node back to the CPU.",
        (
            "pip uninstall -y onnxruntime && pip install --no-deps onnxruntime-gpu",
            "python -m pytest tests/runtime/laws/test_contract.py tests/runtime/backends",
        ),
    ),
    Area(
        JETSON,
        "Nothing ran on a Jetson: no installation, library, engine or time; neither `spair doctor` with its findings, "
        "nor the script of a kit, nor the unit. The two images were not even built.",
        "The plugin libraries for Jetson are compiled and linked. On an emulated processor (QEMU) the wheel for ARM is "
        "installed and restores pictures, and the plugin library answers doubles of TensorRT's registry and logger. "
        "What boards say of themselves is read from trees of files, made of what "
        "owners published of Orin Nano, Orin NX, AGX Orin and Thor, in and out of containers. The script of a kit "
        "runs on doubles of boards, systemd takes the unit, and hadolint the images. The packages that the script "
        "installs exist for Python 3.10 and 3.12 on ARM (looked up in November 2026). The pages follow NVIDIA's "
        "documentation and the reports of others.",
        (
            "sh rain.spair/plugins/jetson-orin-jp6/install.sh spair_rt-0.1.0-py3-none-linux_aarch64.whl",
            "spair doctor",
            "docker build -f serving/deploy/Containerfile.l4t -t spair-board:0.1.0 .",
            "python -m pytest tests/gpu",
        ),
    ),
    Area(
        CAMERAS,
        "No real camera was at hand: neither one of V4L2, nor a CSI sensor, nor a network camera. So nobody has seen "
        "how drivers answer to sizes and rates, how long a camera takes to come back, and the latency from light to "
        "screen. Streams were sent and received on loopback alone, and read from no server of others; RTMP was only "
        "sent, and RTSPS, RTMPS and HTTPS were not opened. The window of `--show` was seen on a screen in memory, "
        "and the live page of `spair serve` by Chromium alone.",
        "Streams over RTSP, HTTP, TCP and UDP are made with FFmpeg, and served by the tests. What is pushed over RTSP, "
        "RTMP, UDP and TCP is received by FFmpeg. A CSI camera is a stand-in for `gst-launch-1.0`; of V4L2 the tests "
        "see what FFmpeg is asked for. The window is seen, and closed, on Xvfb's screen; the live page is read off "
        "Chromium's.",
        (
            "spair restore rain camera:0,size=640x480 --out camera.mkv --seconds 60 --json",
            "spair restore rain csi:0 --out csi.mkv --seconds 60 --json",
            "spair restore rain rtsp://192.168.1.7:554/stream --out stream.mkv --seconds 60 --json",
            "spair restore rain camera:0 --show",
        ),
    ),
    Area(
        POWER,
        "No real meter was read: neither sensors of a board nor counters of a card or a processor. So nobody has seen "
        "joules of a picture, how finely the counters move, and what reading them costs.",
        "Sensors and counters are files as boards and processors have them, and a module with the names of NVIDIA's "
        "package, which the real package has too. How watts and counts become joules is tested on made-up ones.",
        (
            "pip install 'spair-rt[power]'",
            "spair profile rain.spair --html profile.html",
            "python -m pytest tests/gpu/test_energy.py",
        ),
    ),
    Area(
        PROGRAMS,
        "How these programs take the plugin library is known from their sources alone.",
        "The library that registers the plugins is opened as these programs open it, under TensorRT-RTX and beside "
        "doubles of TensorRT's registry.",
        (),
    ),
    Area(
        TRAINING,
        "Training ran on an H100 ([results](results/training.md)) before masks were chosen in the compiled graph. "
        "That, a network grown to another preset (`spair train rain-base-gpu`), and training on several GPUs or "
        "machines have not run.",
        "The same steps run on the CPU, and on two processes.",
        ("python -m pytest tests/gpu/test_training.py", "python -m benchmarks.gpu.training"),
    ),
    Area(
        TRITON,
        "No repository for ONNX Runtime's CUDA provider or for engines has served a request: Triton's own backends for "
        "them, batches and warm-ups on a GPU, and the container of a release never ran. Of most releases in the table "
        "the version of TensorRT is not proven.",
        "A real Triton, of the package nvidia-pytriton, answers on the CPU through a backend that runs the same graph "
        "in ONNX Runtime. It takes the configurations for a GPU up to the backend or the GPU that it lacks.",
        (
            "spair build rain.spair --target local --served",
            "spair repository rain.spair --out repository --device tensorrt",
            "docker build -t spair-triton repository",
        ),
    ),
    Area(
        MACHINES,
        "Neither `spair restore --ray` nor servers behind a load balancer ran on more than one machine, on shared "
        "folders of a network, or with a GPU for each actor. The manifests for Kubernetes and the dashboard were in no "
        "cluster and no Grafana, and the image was not built.",
        "`make ray` runs a cluster of two nodes on one machine and loses one of them. HAProxy runs before two real "
        "servers, one of which is killed and one restarted. The manifests fit the schemas of Kubernetes, systemd takes "
        "the unit, and the dashboard names only metrics that a server has.",
        (
            "make ray",
            "python -m pytest tests/serving/deploy",
            "podman build -f serving/deploy/Containerfile -t spair-serve:0.1.0 .",
            "kubectl apply -f serving/deploy/kubernetes.yaml",
        ),
    ),
    Area(
        PROCESSORS,
        "The kernels of `--backend cpu` for AVX-512, VNNI, AVX-512 BF16 and AMX run only where the processor has them, "
        "so a run of the tests on another processor says nothing of them. How fast those for NEON are is not known. No "
        "real ARM processor ran them.",
        "All tests of the kernels passed on a Xeon with AMX, and on an EPYC with AVX-512, VNNI and BF16. Those for "
        "NEON with and without dot products and BF16 run on an emulated processor (QEMU), where `make aarch64` also "
        "installs the wheel for ARM in a Debian and restores pictures. Opening a bundle compares every layer with ONNX "
        "Runtime, so that wrong kernels are not used.",
        ("spair doctor", "python -m pytest tests/plugins/cpu tests/runtime/cpu", "make aarch64"),
    ),
)
"""Areas in the order of the page."""
