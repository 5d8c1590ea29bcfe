from django.test import SimpleTestCase


class Index(SimpleTestCase):
    def test_names(self):
        self.assertContains(self.client.get("/"), "robin")
