# Django: inspectdb, and its object mapper over the models that follow from it.
import io
import os

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"], "PASSWORD": os.environ["PGPASSWORD"],
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
    }}, INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.AutoField")
django.setup()
out = io.StringIO()
call_command("inspectdb", "--include-views", stdout=out)
print("inspectdb", "class People(" in out.getvalue() and "ForeignKey(People" in out.getvalue() and "unable to" not in out.getvalue().lower())

from django.db import connection, models


class Person(models.Model):
    secret = models.TextField()
    shown = models.TextField()

    class Meta:
        managed, app_label, db_table = False, "clients", "people"


with connection.cursor() as k:
    i = connection.introspection
    for t in i.table_names(k):
        i.get_table_description(k, t), i.get_constraints(k, t), i.get_sequences(k, t), i.get_relations(k, t)
print("rows", Person.objects.filter(id__gt=0).count())
p = Person.objects.get(id=1)
print("first", p.id, p.secret, p.shown, sep="|")
