package org.gradle.launcher;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import javax.tools.ToolProvider;

/**
 * Stands in for Gradle, of which no distribution can be had where the tests run: the
 * wrapper fetches, checks and starts it, and the tasks installDist and bootJar leave
 * behind what those of Gradle and of Spring Boot's plugin do, for build files that
 * have nothing but dependencies. Maven finds the libraries.
 */
public final class GradleMain {
    private static final Path LIBRARIES = Path.of("build", "tmp", "libraries");

    private GradleMain() {}

    public static void main(String[] args) throws Exception {
        List<String> tasks = new ArrayList<>();
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("-x") || args[i].equals("--exclude-task")) {
                i++;
            } else if (!args[i].startsWith("-")) {
                tasks.add(args[i]);
            }
        }
        System.out.println("a stand-in for Gradle runs " + tasks);
        for (String task : tasks) {
            int colon = task.lastIndexOf(':');
            Path dir = Path.of(task.substring(0, Math.max(colon, 0)).replaceFirst("^:", "").replace(':', '/'));
            switch (task.substring(colon + 1)) {
                case "installDist" -> installDist(dir);
                case "bootJar" -> bootJar(dir);
                case "test", "check" -> compile(dir);
                case "dependencies", "help", "resolveAll" -> libraries(dir);
                default -> {
                    System.err.println("Task '" + task + "' not found in root project.");
                    System.exit(1);
                }
            }
        }
        System.out.println("BUILD SUCCESSFUL");
    }

    private static void installDist(Path dir) throws Exception {
        List<Path> jars = new ArrayList<>(List.of(jar(dir, name(dir) + version(dir) + ".jar")));
        for (String project : projects(dir)) {
            jars.add(jar(Path.of(project), project + version(Path.of(project)) + ".jar"));
        }
        jars.addAll(libraries(dir));
        String name = name(dir);
        Path to = dir.resolve("build/install").resolve(name);
        Files.createDirectories(to.resolve("lib"));
        Files.createDirectories(to.resolve("bin"));
        for (Path jar : jars) {
            Files.copy(jar, to.resolve("lib").resolve(jar.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
        String classPath = jars.stream().map(j -> "$APP_HOME/lib/" + j.getFileName()).collect(Collectors.joining(":"));
        // The wrapper's script and those of applications are of one template.
        String script = Files.readString(Path.of("gradlew"))
                .replaceFirst("(?m)^CLASSPATH=.*$", Matcher.quoteReplacement("CLASSPATH=" + classPath))
                .replace("\"${APP_HOME:-./}\"", "\"${APP_HOME:-./}..\"")
                .replaceFirst("(?m)^DEFAULT_JVM_OPTS=.*$", "DEFAULT_JVM_OPTS=")
                .replace("org.gradle.wrapper.GradleWrapperMain", find(dir, "mainClass\\s*=\\s*['\"]([^'\"]+)").get(0));
        Path start = to.resolve("bin").resolve(name);
        Files.writeString(start, script);
        start.toFile().setExecutable(true);
    }

    private static void bootJar(Path dir) throws Exception {
        Path classes = compile(dir);
        List<Path> libraries = libraries(dir);
        String start = null;
        try (Stream<Path> files = Files.walk(classes)) {
            for (Path file : files.filter(f -> f.toString().endsWith("Application.class")).toList()) {
                start = classes.relativize(file).toString().replace('/', '.').replaceFirst("\\.class$", "");
            }
        }
        Manifest manifest = new Manifest();
        Attributes main = manifest.getMainAttributes();
        main.put(Attributes.Name.MANIFEST_VERSION, "1.0");
        main.put(Attributes.Name.MAIN_CLASS, "org.springframework.boot.loader.launch.JarLauncher");
        main.putValue("Start-Class", start);
        main.putValue("Spring-Boot-Version", find(dir, "org.springframework.boot['\"]\\)? version ['\"]([^'\"]+)").get(0));
        main.putValue("Spring-Boot-Classes", "BOOT-INF/classes/");
        main.putValue("Spring-Boot-Lib", "BOOT-INF/lib/");
        main.putValue("Spring-Boot-Classpath-Index", "BOOT-INF/classpath.idx");
        main.putValue("Spring-Boot-Layers-Index", "BOOT-INF/layers.idx");
        Path jar = dir.resolve("build/libs").resolve(name(dir) + version(dir) + ".jar");
        Files.createDirectories(jar.getParent());
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar), manifest)) {
            for (Map.Entry<String, Path> file : tree(classes).entrySet()) {
                write(out, "BOOT-INF/classes/" + file.getKey(), Files.readAllBytes(file.getValue()));
            }
            StringBuilder index = new StringBuilder();
            for (Path library : libraries) {
                byte[] data = Files.readAllBytes(library);
                JarEntry entry = new JarEntry("BOOT-INF/lib/" + library.getFileName());
                CRC32 sum = new CRC32();
                sum.update(data);
                entry.setMethod(JarEntry.STORED);
                entry.setSize(data.length);
                entry.setCrc(sum.getValue());
                out.putNextEntry(entry);
                out.write(data);
                index.append("- \"").append(entry.getName()).append("\"\n");
            }
            write(out, "BOOT-INF/classpath.idx", index.toString().getBytes(StandardCharsets.UTF_8));
            write(out, "BOOT-INF/layers.idx", """
                    - "dependencies":
                      - "BOOT-INF/lib/"
                    - "spring-boot-loader":
                      - "org/"
                    - "snapshot-dependencies":
                    - "application":
                      - "BOOT-INF/classes/"
                      - "BOOT-INF/classpath.idx"
                      - "BOOT-INF/layers.idx"
                      - "META-INF/"
                    """.getBytes(StandardCharsets.UTF_8));
        }
        // The plugin leaves the jar without libraries beside it.
        jar(dir, name(dir) + version(dir) + "-plain.jar");
    }

    /** The jar of a project's own classes, with the time of day, as older releases make it. */
    private static Path jar(Path dir, String name) throws Exception {
        Path classes = compile(dir);
        Path jar = dir.resolve("build/libs").resolve(name);
        Files.createDirectories(jar.getParent());
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            for (Map.Entry<String, Path> file : tree(classes).entrySet()) {
                write(out, file.getKey(), Files.readAllBytes(file.getValue()));
            }
        }
        return jar;
    }

    private static void write(JarOutputStream out, String name, byte[] data) throws IOException {
        out.putNextEntry(new JarEntry(name));
        out.write(data);
    }

    private static Path compile(Path dir) throws Exception {
        List<Path> path = new ArrayList<>(libraries(dir));
        for (String project : projects(dir)) {
            path.add(compile(Path.of(project)));
        }
        Path to = dir.resolve("build/classes");
        Files.createDirectories(to);
        List<String> args = new ArrayList<>(List.of("-parameters", "-d", to.toString(), "-cp",
                path.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator))));
        tree(dir.resolve("src/main/java")).values().forEach(f -> args.add(f.toString()));
        if (ToolProvider.getSystemJavaCompiler().run(null, null, null, args.toArray(String[]::new)) != 0) {
            System.err.println("Execution failed for task ':compileJava'.");
            System.exit(1);
        }
        for (Map.Entry<String, Path> file : tree(dir.resolve("src/main/resources")).entrySet()) {
            Path copy = to.resolve(file.getKey());
            Files.createDirectories(copy.getParent());
            Files.copy(file.getValue(), copy, StandardCopyOption.REPLACE_EXISTING);
        }
        return to;
    }

    private static Map<String, Path> tree(Path dir) throws IOException {
        Map<String, Path> files = new TreeMap<>();
        if (Files.exists(dir)) {
            try (Stream<Path> all = Files.walk(dir)) {
                all.filter(Files::isRegularFile).forEach(f -> files.put(dir.relativize(f).toString(), f));
            }
        }
        return files;
    }

    /** The libraries that the build file names and what they need, by Maven. */
    private static List<Path> libraries(Path dir) throws Exception {
        Path to = dir.resolve(LIBRARIES);
        List<String> wanted = find(dir, "implementation\\s*\\(?\\s*['\"]([^'\"]+)");
        if (!Files.exists(to) && !wanted.isEmpty()) {
            StringBuilder pom = new StringBuilder("<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version>");
            for (String boot : find(dir, "org.springframework.boot['\"]\\)? version ['\"]([^'\"]+)")) {
                pom.append("<dependencyManagement><dependencies>")
                        .append(dependency("org.springframework.boot:spring-boot-dependencies:" + boot, "<type>pom</type><scope>import</scope>"))
                        .append("</dependencies></dependencyManagement>");
            }
            pom.append("<dependencies>");
            wanted.forEach(w -> pom.append(dependency(w, "")));
            pom.append("</dependencies></project>");
            Path file = dir.resolve("build/tmp/pom.xml");
            Files.createDirectories(file.getParent());
            Files.writeString(file, pom);
            String home = System.getenv().getOrDefault("GRADLE_USER_HOME", System.getProperty("user.home") + "/.gradle");
            Process maven = new ProcessBuilder("mvn", "-B", "-q", "-ntp", "-f", file.toString(), "-Dmaven.repo.local=" + home + "/caches/modules",
                    "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + to.toAbsolutePath()).inheritIO().start();
            if (maven.waitFor() != 0) {
                System.exit(1);
            }
        }
        return new ArrayList<>(tree(to).values());
    }

    private static String dependency(String at, String more) {
        String[] parts = at.split(":");
        return "<dependency><groupId>" + parts[0] + "</groupId><artifactId>" + parts[1] + "</artifactId>"
                + (parts.length > 2 ? "<version>" + parts[2] + "</version>" : "") + more + "</dependency>";
    }

    private static List<String> projects(Path dir) throws IOException {
        return find(dir, "project\\(['\"]:([^'\"]+)");
    }

    private static String name(Path dir) throws IOException {
        return dir.toString().isEmpty() ? find(Path.of("."), "rootProject.name\\s*=\\s*['\"]([^'\"]+)", "settings").get(0) : dir.getFileName().toString();
    }

    private static String version(Path dir) throws IOException {
        return find(dir, "(?m)^version\\s*=\\s*['\"]([^'\"]+)").stream().map(v -> "-" + v).findFirst().orElse("");
    }

    private static List<String> find(Path dir, String pattern) throws IOException {
        return find(dir, pattern, "build");
    }

    private static List<String> find(Path dir, String pattern, String file) throws IOException {
        for (String kind : Arrays.asList(".gradle", ".gradle.kts")) {
            Path at = dir.resolve(file + kind);
            if (Files.exists(at)) {
                return Pattern.compile(pattern).matcher(Files.readString(at)).results().map(m -> m.group(1)).toList();
            }
        }
        return List.of();
    }
}
