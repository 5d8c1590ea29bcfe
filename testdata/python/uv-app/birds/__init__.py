names = ["robin", "wren", "swift"]
