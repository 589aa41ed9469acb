"""What the processor is called."""

from spair.runtime.machine.processor import count_cores, read_cpu_name


def test_the_cpu_is_read_from_x86_and_arm_files(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel : 85\nmodel name : Fast CPU\n\nprocessor : 1\nmodel name : Fast CPU\n")
    assert read_cpu_name(file) == "Fast CPU"
    file.write_text("processor : 0\nCPU part : 0xd42\nHardware : Orin\n")
    assert read_cpu_name(file) == "Orin"
    file.write_text("")
    assert read_cpu_name(file)


def test_there_is_a_core():
    assert count_cores() >= 1
