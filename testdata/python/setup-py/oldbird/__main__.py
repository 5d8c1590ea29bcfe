import pkgutil

print(pkgutil.get_data("oldbird", "birds.txt").decode().split())
