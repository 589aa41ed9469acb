"""Facts about the processor are read from the system's files."""

from spair.runtime.machine.processor import count_cores, read_cpu_name, read_features


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


def test_features_are_those_of_the_first_core_in_a_fixed_order(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nflags : fpu avx512_bf16 avx2 sse2 avx512f\n\nprocessor : 1\nflags : fma\n")
    assert read_features(file) == ["sse2", "avx2", "avx512f", "avx512_bf16"]
    file.write_text("processor : 0\nFeatures : fp asimd bf16 asimddp\n")
    assert read_features(file) == ["asimd", "asimddp", "bf16"]
    file.write_text("processor : 0\n")
    assert read_features(file) == read_features(tmp_path / "absent") == []
