"""Only the wheel's tag: any Python 3, this platform when the package carries the library, any platform when it does not."""
import pathlib

from setuptools import Distribution, setup
from wheel.bdist_wheel import bdist_wheel

CARRIES = (pathlib.Path(__file__).parent / "mcomp/libmcomp.so").exists()


class Package(Distribution):
    def has_ext_modules(self):
        return CARRIES


class Wheel(bdist_wheel):
    def get_tag(self):
        return ("py3", "none", super().get_tag()[2] if CARRIES else "any")


setup(distclass=Package, cmdclass={"bdist_wheel": Wheel})
