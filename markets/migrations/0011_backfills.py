"""Backfills and their parts, and runs that say which window of the past they computed again."""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
import markets.models.base
from django.conf import settings
from django.db import migrations, models

from markets.roles import ANALYST, OPERATOR, VIEWER, grant, views


def grants(apps: Any, schema_editor: Any) -> None:
    for role in (VIEWER, ANALYST, OPERATOR):
        grant(apps, schema_editor, role, views("markets", "backfill", "backfillpart"))


class Migration(migrations.Migration):

    dependencies = [
        ('markets', '0010_tree_steps'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='noderun',
            name='is_backfill',
            field=models.BooleanField(default=False, help_text='It computed a window of the past again.', verbose_name='backfill'),
        ),
        migrations.AddField(
            model_name='noderun',
            name='window_end',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='noderun',
            name='window_start',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Backfill',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('uid', models.UUIDField(default=markets.models.base.new_uid, editable=False, unique=True, verbose_name='uid')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('start', models.DateTimeField(help_text='The first instant, included.')),
                ('end', models.DateTimeField(help_text='The last instant, included.')),
                ('assets', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(db_collation='C', max_length=255), blank=True, help_text='Nothing for all.', null=True, size=None)),
                ('failed_only', models.BooleanField(default=False, verbose_name='failed and missing only')),
                ('update_tree', models.BooleanField(default=False, verbose_name='what it reads first')),
                ('calendar_identifier', models.CharField(blank=True, default='', help_text="Where the DataNode's configuration names none.", max_length=255, verbose_name='calendar')),
                ('planned_at', models.DateTimeField(blank=True, null=True)),
                ('job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='backfills', to='markets.job')),
                ('node_update', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='backfills', to='markets.nodeupdate')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='BackfillPart',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('position', models.PositiveIntegerField()),
                ('start', models.DateTimeField()),
                ('end', models.DateTimeField()),
                ('assets', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(db_collation='C', max_length=255), blank=True, null=True, size=None)),
                ('mode', models.CharField(choices=[('fill', 'Fill what is missing'), ('replace', 'Replace what differs')], max_length=8)),
                ('rows_expected', models.BigIntegerField(blank=True, help_text='What the calendar lets expect.', null=True)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done'), ('failed', 'Failed'), ('mended', 'Done by a later backfill')], default='waiting', max_length=8)),
                ('rows_written', models.BigIntegerField(default=0)),
                ('error', models.TextField(blank=True, default='')),
                ('backfill', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='markets.backfill')),
                ('node_update', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='markets.nodeupdate')),
                ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='markets.noderun')),
            ],
            options={
                'verbose_name': 'part of a backfill',
                'verbose_name_plural': 'parts of backfills',
                'ordering': ['backfill', 'position'],
            },
        ),
        migrations.AddIndex(
            model_name='backfill',
            index=models.Index(fields=['node_update', '-id'], name='markets_backfill_latest'),
        ),
        migrations.AddConstraint(
            model_name='backfill',
            constraint=models.CheckConstraint(condition=models.Q(('end__gte', models.F('start'))), name='markets_backfill_ordered'),
        ),
        migrations.AddIndex(
            model_name='backfillpart',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['node_update'], name='markets_backfillpart_failed'),
        ),
        migrations.AddConstraint(
            model_name='backfillpart',
            constraint=models.UniqueConstraint(fields=('backfill', 'position'), name='markets_backfillpart_unique'),
        ),
        migrations.AddConstraint(
            model_name='backfillpart',
            constraint=models.CheckConstraint(condition=models.Q(('end__gte', models.F('start'))), name='markets_backfillpart_ordered'),
        ),
        migrations.RunPython(grants, migrations.RunPython.noop),
    ]
