"""Trees of files as Jetson boards have them, made of what others published of theirs.

Names of rails, clocks, zones and files follow the sources of jetson_stats and reports of owners; no board was at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

RELEASE = "# R{} (release), REVISION: {}, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18\n"
Files = Mapping[str, str]


def write(root: Path, files: Files) -> Path:
    """Write files below a root folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def monitor(number: int, chip: str, **channels: tuple[str, int, int]) -> dict[str, str]:
    """Files of a chip that measures power: channel "c1" -> label, millivolts, milliamperes."""
    folder = f"sys/class/hwmon/hwmon{number}"
    files = {f"{folder}/name": f"{chip}\n"}
    for channel, (label, volts, amperes) in channels.items():
        files |= {
            f"{folder}/in{channel[1:]}_label": f"{label}\n",
            f"{folder}/in{channel[1:]}_input": f"{volts}\n",
            f"{folder}/curr{channel[1:]}_input": f"{amperes}\n",
        }
    return files


def clock(folder: str, mhz: tuple[int, int, int]) -> dict[str, str]:
    names = ("cur_freq", "min_freq", "max_freq")
    return {f"{folder}/{name}": f"{value}000000\n" for name, value in zip(names, mhz, strict=True)}


def zones(**temperatures: int) -> dict[str, str]:
    files = {}
    for index, (name, value) in enumerate(temperatures.items()):
        files[f"sys/class/thermal/thermal_zone{index}/type"] = f"{name}-thermal\n"
        files[f"sys/class/thermal/thermal_zone{index}/temp"] = f"{value}\n"
    return files


def modes(*names: str, status: int | None) -> dict[str, str]:
    lines = [f"< POWER_MODEL ID={index} NAME={name} >\nCPU_ONLINE CORE_0 1" for index, name in enumerate(names)]
    files = {"etc/nvpmodel.conf": "\n".join([*lines, "< PM_CONFIG DEFAULT=0 >"]) + "\n"}
    return files | ({} if status is None else {"var/lib/nvpmodel/status": f"pmode:{status:04d} fmode:fanNull\n"})


def memory(kilobytes: int, *swaps: str) -> dict[str, str]:
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    text = f"MemTotal:  {kilobytes} kB\nMemFree: 1000 kB\nMemAvailable:  {kilobytes // 2} kB\n"
    return {"proc/meminfo": text, "proc/swaps": head + "".join(f"{line}\n" for line in swaps)}


def packages(**versions: str) -> dict[str, str]:
    entries = [
        f"Package: {name.replace('_', '-')}\nStatus: install ok installed\nVersion: {version}\n"
        for name, version in versions.items()
    ]
    removed = "Package: libnvinfer8\nStatus: deinstall ok config-files\nVersion: 8.6.2\n"
    return {"var/lib/dpkg/status": "\n".join([*entries, removed])}


def tree(model: str, part: str, chip: str) -> dict[str, str]:
    return {
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": f"nvidia,p3768-0000+{part}\0nvidia,{part}\0nvidia,{chip}\0",
    }


CAMERA = {"usr/sbin/nvargus-daemon": "", "proc/812/comm": "nvargus-daemon\n", "tmp/argus_socket": "", "dev/video0": ""}
JETPACK_6 = {
    **packages(nvidia_l4t_core="36.4.3-20250107174145", nvidia_jetpack="6.2+b77", libnvinfer10="10.3.0.30-1+cuda12.5"),
    "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so": "",
    "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
    "usr/local/cuda/include/cuda.h": "",
}
JETPACK_72 = {
    **packages(nvidia_l4t_core="39.2.0-20260601000000", nvidia_jetpack="7.2", libnvinfer10="10.16.2.10-1+cuda13.2"),
    "usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
    "usr/local/cuda/include/cuda.h": "",
}
ORIN_CLOCKS = {
    **clock("sys/class/devfreq/17000000.gpu", (306, 306, 1020)),
    **clock("sys/class/devfreq/15340000.vic", (115, 115, 729)),
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1344000\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": "729600\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1728000\n",
}
THROTTLE = {
    "sys/class/hwmon/hwmon0/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon0/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon0/oc3_event_cnt": "7\n",
    "sys/class/thermal/cooling_device0/type": "gpu-throttle-alert\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "2\n",
}
ORIN_NANO = {
    **tree("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "p3767-0005", "tegra234"),
    "etc/nv_tegra_release": RELEASE.format(36, "4.3"),
    **JETPACK_6,
    **ORIN_CLOCKS,
    **THROTTLE,
    **memory(7802940, *(f"/dev/zram{index} partition 650240 0 5" for index in range(6))),
    **modes("15W", "25W", "MAXN_SUPER", status=1),
    **monitor(
        1, "ina3221", c1=("VDD_IN", 5000, 1800), c2=("VDD_CPU_GPU_CV", 5000, 600), c3=("VDD_SOC", 5000, 300),
        c7=("sum of shunt voltages", 8, 0),
    ),
    **zones(cpu=48625, gpu=49062, tj=49062),
    **CAMERA,
}  # fmt: skip
ORIN_NX = {
    **ORIN_NANO,
    **tree("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "p3767-0000", "tegra234"),
    "etc/nv_tegra_release": RELEASE.format(36, "4.7"),
    **memory(15655472, "/swap file 16777212 0 -2"),
    **modes("MAXN", "10W", "15W", "25W", status=0),
}
AGX_ORIN = {
    **tree("NVIDIA Jetson AGX Orin Developer Kit", "p3701-0005", "tegra234"),
    "etc/nv_tegra_release": RELEASE.format(39, "2.0"),
    **JETPACK_72,
    **clock("sys/class/devfreq/17000000.gpu", (1300, 1300, 1300)),
    **memory(64338464),
    **modes("MAXN", "MODE_15W", "MODE_30W", "MODE_50W", status=0),
    **monitor(
        1, "ina3221", c1=("VDD_GPU_SOC", 19920, 400), c2=("VDD_CPU_CV", 19920, 100), c3=("VIN_SYS_5V0", 5000, 900)
    ),
    **monitor(2, "ina3221", c1=("NC", 0, 0), c2=("VDDQ_VDD2_1V8AO", 4968, 240), c3=("NC", 0, 0)),
    **zones(cpu=41000, tj=43500),
    **CAMERA,
}
THOR = {
    **tree("NVIDIA Jetson AGX Thor Developer Kit", "p3834-0008", "tegra264"),
    "etc/nv_tegra_release": RELEASE.format(38, "2.0"),
    **packages(libnvinfer10="10.13.3.9-1+cuda13.0"),
    "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so": "",
    "usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
    "usr/local/cuda/include/cuda.h": "",
    **clock("sys/class/devfreq/gpu-gpc-0", (1575, 315, 1575)),
    **clock("sys/class/devfreq/gpu-nvd-0", (1692, 315, 1692)),
    **clock("sys/class/devfreq/bwmgr", (4266, 665, 4266)),
    **memory(128793788),
    **modes("MAXN", "120W", "90W", "70W", status=1),
    **monitor(
        1, "ina3221", c1=("VDD_GPU", 20000, 150), c2=("VDD_CPU_SOC_MSS", 20000, 330), c3=("VIN_SYS_5V0", 5000, 1300)
    ),
    "sys/class/hwmon/hwmon2/name": "ina238\n",
    "sys/class/hwmon/hwmon2/in1_input": "20000\n",
    "sys/class/hwmon/hwmon2/curr1_input": "1300\n",
    "sys/class/hwmon/hwmon2/power1_input": "26000000\n",
    **zones(cpu=53700, gpu=55000),
    **CAMERA,
}
HIDDEN = ("proc/device-tree/", "etc/nv", "var/lib/nvpmodel/", "tmp/argus", "usr/sbin/", "dev/", "proc/812")
"""Beginnings of what a container does not see."""


def contain(files: Files, *given: str) -> dict[str, str]:
    """What a container on a board sees, and what is handed into it."""
    kept = {name: text for name, text in files.items() if not name.startswith(HIDDEN) or name in given}
    return {**kept, ".dockerenv": ""}


BOARDS: Mapping[str, Files] = {"Orin Nano": ORIN_NANO, "Orin NX": ORIN_NX, "AGX Orin": AGX_ORIN, "Thor": THOR}
Make = Callable[[Files], Path]
