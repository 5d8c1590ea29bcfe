import java.awt.Color;
import java.awt.Font;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import javax.imageio.ImageIO;

/** Draws text, as reports and charts do, and does what Probe does. */
public class Draw {
    public static void main(String[] args) {
        Probe.check("text in pictures", Draw::draw);
        Probe.main(args);
    }

    static void draw() throws Exception {
        for (String format : new String[] {"png", "jpg"}) {
            var picture = new BufferedImage(200, 40, BufferedImage.TYPE_INT_RGB);
            var graphics = picture.createGraphics();
            graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
            graphics.setColor(Color.WHITE);
            graphics.setFont(new Font(Font.SERIF, Font.BOLD, 24));
            graphics.drawString("Grüße 123", 5, 30);
            graphics.dispose();
            var out = new ByteArrayOutputStream();
            Probe.expect(ImageIO.write(picture, format, out), "no writer of " + format);
            var read = ImageIO.read(new ByteArrayInputStream(out.toByteArray()));
            int bright = 0;
            for (int x = 0; x < read.getWidth(); x++) {
                for (int y = 0; y < read.getHeight(); y++) {
                    if ((read.getRGB(x, y) & 0xff) > 0x80) {
                        bright++;
                    }
                }
            }
            Probe.expect(bright > 200 && bright < 4000, format + " has " + bright + " bright pixels");
        }
    }
}
