// Java 25 needs no class around a main method.
void main() throws Exception {
    try (var in = ClassLoader.getSystemResourceAsStream("version.txt")) {
        IO.println(new String(in.readAllBytes()).strip());
    }
}
