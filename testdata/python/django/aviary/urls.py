from django.urls import path

from birds.views import index

urlpatterns = [path("", index)]
