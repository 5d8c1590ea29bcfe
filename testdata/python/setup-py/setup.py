from setuptools import find_packages, setup

setup(
    name="oldbird",
    version="1.0.0",
    packages=find_packages(),
    package_data={"oldbird": ["*.txt"]},
    python_requires=">=3.8",
)
