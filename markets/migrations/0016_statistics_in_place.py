"""Pages of the statistics stay half empty, so that a run's updates of them find room there and touch no index."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("markets", "0015_register_nodes")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE markets_updatestatistic SET (fillfactor = 40)",
            "ALTER TABLE markets_updatestatistic RESET (fillfactor)",
        ),
    ]
