import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.ByteArrayInputStream;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.Base64;
import java.util.HexFormat;
import java.util.concurrent.Executors;
import java.util.logging.Logger;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import javax.xml.parsers.DocumentBuilderFactory;

/**
 * Uses what the image "java" has: HTTP and TLS in both directions, trust, time
 * zones, name service. The arguments are the version that is wanted, as 21, and a
 * folder with a certificate authority and a certificate of it for localhost.
 */
public class Probe {
    interface Check {
        void run() throws Exception;
    }

    static boolean failed;

    static void check(String name, Check check) {
        try {
            check.run();
        } catch (Exception | LinkageError e) {
            System.out.println(name + ": does not work");
            e.printStackTrace(System.out);
            failed = true;
        }
    }

    static void expect(boolean ok, Object found) {
        if (!ok) {
            throw new IllegalStateException(String.valueOf(found));
        }
    }

    public static void main(String[] args) {
        Path dir = Path.of(args[1]);
        check("version", () -> expect(Runtime.version().feature() == Integer.parseInt(args[0]), Runtime.version()));
        check("files", Probe::files);
        check("names in UTF-8", () -> expect("UTF-8".equals(System.getProperty("sun.jnu.encoding")), System.getProperty("sun.jnu.encoding")));
        check("certificates", () -> expect(trusted(null) > 100, trusted(null)));
        check("TLS", () -> tls(dir));
        check("HTTP", Probe::http);
        check("time zones", () -> {
            expect(offset("Europe/Berlin") == 7200, offset("Europe/Berlin"));
            expect(offset("America/New_York") == -14400, offset("America/New_York"));
        });
        check("names of hosts", () -> expect(InetAddress.getByName("localhost").isLoopbackAddress(), InetAddress.getByName("localhost")));
        check("checksums", () -> expect(
            HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest()).startsWith("e3b0c442"), "SHA-256"));
        check("XML", () -> DocumentBuilderFactory.newInstance().newDocumentBuilder()
            .parse(new ByteArrayInputStream("<a/>".getBytes(StandardCharsets.UTF_8))));
        check("logging and management", () -> {
            Logger.getLogger("probe").fine("not shown");
            expect(ManagementFactory.getRuntimeMXBean().getPid() > 0, "process id");
        });
        if (failed) {
            System.exit(1);
        }
        System.out.println("everything works");
        System.exit(0); // the servers' and clients' threads need not end first
    }

    static void files() throws Exception {
        expect("65532".equals(String.valueOf(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))), "the user is not 65532");
        try {
            Files.writeString(Path.of("/home/nonroot/file"), "x");
            throw new IllegalStateException("the root file system can be written to");
        } catch (java.nio.file.FileSystemException e) {
            expect("Read-only file system".equals(e.getReason()), e);
        }
        Files.writeString(Path.of("/tmp/é"), "x");
    }

    static long offset(String zone) {
        return ZoneId.of(zone).getRules().getOffset(Instant.parse("2024-07-01T12:00:00Z")).getTotalSeconds();
    }

    /** How many authorities a store has; null for the runtime's own. */
    static int trusted(KeyStore store) throws Exception {
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return ((X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers().length;
    }

    static Certificate certificate(Path file) throws Exception {
        try (var in = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }

    static void tls(Path dir) throws Exception {
        String pem = Files.readString(dir.resolve("key.pem")).replaceAll("-----.*-----|\\s", "");
        var keys = KeyStore.getInstance("PKCS12");
        keys.load(null, null);
        keys.setKeyEntry("server", KeyFactory.getInstance("Ed25519").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem))),
            new char[0], new Certificate[] {certificate(dir.resolve("cert.pem"))});
        var keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keyManagers.init(keys, new char[0]);
        var serverContext = SSLContext.getInstance("TLS");
        serverContext.init(keyManagers.getKeyManagers(), null, null);
        var server = HttpsServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(serverContext));
        var uri = serve(server, "https");

        try {
            get(HttpClient.newBuilder(), uri);
            throw new IllegalStateException("a server that nobody vouches for is trusted");
        } catch (SSLException e) {
            expect(String.valueOf(e).contains("unable to find valid certification path"), e);
        }
        var authorities = KeyStore.getInstance("PKCS12");
        authorities.load(null, null);
        authorities.setCertificateEntry("ca", certificate(dir.resolve("ca.pem")));
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        expect("hello".equals(get(HttpClient.newBuilder().sslContext(context), uri)), "the answer");
        server.stop(0);
    }

    static void http() throws Exception {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        expect("hello".equals(get(HttpClient.newBuilder(), serve(server, "http"))), "the answer");
        server.stop(0);
    }

    static URI serve(HttpServer server, String scheme) {
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            byte[] body = "hello".getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        return URI.create(scheme + "://localhost:" + server.getAddress().getPort() + "/");
    }

    static String get(HttpClient.Builder client, URI uri) throws Exception {
        var request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(60)).build();
        return client.build().send(request, HttpResponse.BodyHandlers.ofString()).body();
    }
}
