"""Settings of MSM, read from the environment; `.env.example` names and explains each."""

from pathlib import Path

from celery.schedules import crontab
from django.templatetags.static import static
from django.urls import reverse_lazy

from msm_project import environment
from msm_project.embedded.locations import embedded_locations
from msm_project.navigation import only_permitted

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(environment.read("MSM_DATA_DIR", str(BASE_DIR / ".msm"))).expanduser().absolute()

DATABASE_URL = environment.read("DATABASE_URL")
REDIS_URL = environment.read("REDIS_URL")
EMBEDDED_DATABASE = not DATABASE_URL
EMBEDDED_REDIS = not REDIS_URL

_external_database = environment.parse_database_url(DATABASE_URL) if DATABASE_URL else {}
SECRET_KEY = environment.secret_key(DATA_DIR, embedded=EMBEDDED_DATABASE)
DEBUG = environment.read_bool("DEBUG", False)
ALLOWED_HOSTS = environment.read_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.read_list("CSRF_TRUSTED_ORIGINS")
PORT = environment.read_int("MSM_PORT", 8000, minimum=1, maximum=65535)
IMPORT_MAX_BYTES = environment.read_int("MSM_IMPORT_MAX_MIB", 200, minimum=1, maximum=4096) * 2**20
NAMESPACE = environment.read_namespace("MSM_AUTO_REGISTER_NAMESPACE")
NODE_MODULES = environment.read_list("MSM_NODE_MODULES")
OPENFIGI_API_KEY = environment.read("OPEN_FIGI_API_KEY")
OPENFIGI_BASE_URL = environment.read_http_url("MSM_OPENFIGI_BASE_URL", "https://api.openfigi.com")
# None: what OpenFIGI allows with or without a key
OPENFIGI_JOBS_PER_REQUEST = environment.read_optional_int("MSM_OPENFIGI_JOBS_PER_REQUEST", minimum=1, maximum=1000)
OPENFIGI_MAPPING_LIMIT = environment.read_rate("MSM_OPENFIGI_MAPPING_LIMIT")
OPENFIGI_SEARCH_LIMIT = environment.read_rate("MSM_OPENFIGI_SEARCH_LIMIT")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_celery_beat",
    "django_structlog",
    "axes",
    "msm_project.project_app.ProjectConfig",
    "markets",
    "portfolios",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "msm_project.security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "msm_project.security.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "markets.admin.acting.acting_in_admin",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "msm_project.urls"
WSGI_APPLICATION = "msm_project.wsgi.application"
ASGI_APPLICATION = "msm_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "msm_project" / "templates"],  # before the theme's: two of them are amended there
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- servers ---------------------------------------------------------------------------------------------------------
_embedded = embedded_locations(DATA_DIR)
if EMBEDDED_DATABASE:
    DATABASES = {
        "default": {
            "ENGINE": "msm_project.embedded",  # starts the server when a connection is first wanted
            "NAME": "msm",
            "USER": "msm",
            "HOST": str(_embedded.postgres_socket_directory),
            "PORT": "5432",
        }
    }
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **_external_database}}
DATABASES["default"]["OPTIONS"] = environment.connection_options(DATABASES["default"].get("OPTIONS", {}), NAMESPACE)
DATABASES["default"]["CONN_MAX_AGE"] = 60  # a page view should not pay for a new connection
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # a restarted server costs one reconnect, not one error page

if EMBEDDED_REDIS:
    # `virtual_host` numbers the Redis database: test processes that share one server keep apart by it.
    _redis_database = environment.read_int("MSM_REDIS_DATABASE", 0, minimum=0, maximum=15)
    REDIS_URL = f"redis+socket://{_embedded.redis_socket}?virtual_host={_redis_database}"
else:
    REDIS_URL = environment.check_redis_url(REDIS_URL)

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True  # the Job row is the result
CELERY_TASK_ACKS_LATE = True  # a task is acknowledged when it is done, so that a killed worker loses none
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # tasks are minutes, not milliseconds: do not hoard them
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
QUEUE = "msm"
CELERY_TASK_DEFAULT_QUEUE = f"{QUEUE}.{NAMESPACE}" if NAMESPACE else QUEUE  # a worker knows the jobs of its namespace
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # workers log as LOGGING says: one JSON object a line
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A message whose worker died with its machine comes back after this time; jobs found dead are queued anew long before.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}
CELERY_BEAT_SCHEDULE = {
    # A killed worker's work waits this long at most; a look is a few queries on partial indexes. One that comes too
    # late to be of use (the workers were busy) is dropped for the next.
    "recover interrupted jobs": {
        "task": "markets.recover_interrupted_jobs",
        "schedule": 15.0,
        "options": {"expire_seconds": 14},
    },
    "tidy imports that nobody applied": {"task": "markets.tidy_imports", "schedule": 24 * 3600.0},
    # At night in Europe and America; a table's writers wait a second or two for each block.
    "seal history": {"task": "markets.seal_history", "schedule": crontab(hour=4, minute=20)},
}

# --- people ----------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "msm_project.problems.locked_out"
AXES_USERNAME_CALLABLE = "msm_project.problems.counted_username"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- web security ----------------------------------------------------------------------------------------------------
# Behind TLS (SECURE=1) cookies and redirects insist on it; on a bare localhost they could not work.
SECURE = environment.read_bool("SECURE", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$"]  # probes arrive over plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024

# --- language, time, files -------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = True
FORMAT_MODULE_PATH = "msm_project.formats"  # dates as 2026-01-31, wherever the theme writes one
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "markets.figures.staticfiles.BokehFinder",
]
WHITENOISE_USE_FINDERS = True  # one host, a handful of users: serve from the installed packages, no collectstatic step
MEDIA_ROOT = DATA_DIR / "media"
# knox's own migrations make a table for the token model that ours replaces; nothing would ever use it.
MIGRATION_MODULES = {"knox": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- REST ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "markets.rest.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["markets.rest.permissions.RegistryPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "markets.rest.pagination.ListPages",
    "DEFAULT_FILTER_BACKENDS": ["markets.rest.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "markets.rest.errors.exception_handler",
    "DATETIME_FORMAT": "iso-8601",
    "URL_FORMAT_OVERRIDE": None,  # ?format= chooses a frame's format in the views that stream frames
}
REST_KNOX = {
    "SECURE_HASH_ALGORITHM": "hashlib.sha512",
    "TOKEN_MODEL": "markets.AccessToken",
    "AUTH_HEADER_PREFIX": "Token",
    "TOKEN_TTL": None,
}
KNOX_TOKEN_MODEL = "markets.AccessToken"
SPECTACULAR_SETTINGS = {
    "TITLE": "MSM",
    "DESCRIPTION": "Securities master, DataNodes and portfolios over REST.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RunStatusEnum": "markets.models.RunStatus.choices",
        "JobStatusEnum": "markets.models.JobStatus.choices",
        "ImportStatusEnum": "markets.models.ImportStatus.choices",
        "ImportOutcomeEnum": "markets.models.ImportOutcome.choices",
        "ItemStatusEnum": "markets.models.ItemStatus.choices",
        "OutcomeEnum": "markets.services.bulk.OUTCOMES",
    },
}

# --- logs ------------------------------------------------------------------------------------------------------------
LOG_LEVEL = environment.read("LOG_LEVEL", "INFO").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "msm_project.logs.JsonFormatter"}},
    "filters": {"finished_requests": {"()": "msm_project.logs.FinishedRequests"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "level": LOG_LEVEL,
            "filters": ["finished_requests"],
        }
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # a line a request
        "msm.nodes": {"level": "INFO"},  # kept with each run, whatever the console shows
    },
}

# --- back-office -----------------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "MSM",
    "SITE_HEADER": "MSM",
    "SITE_SUBHEADER": " · ".join(
        filter(None, [NAMESPACE, "Embedded servers: one host" if EMBEDDED_DATABASE else "Markets platform"])
    ),
    "SITE_URL": None,
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("markets/icon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "COMMAND": {"search_callback": "portfolios.admin.command_search.found_rows"},
    "DASHBOARD_CALLBACK": "portfolios.admin.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Market",
                "separator": False,
                "items": [
                    {"title": "Dashboard", "icon": "dashboard", "link": reverse_lazy("admin:index")},
                    {
                        "title": "Assets",
                        "icon": "finance",
                        "link": reverse_lazy("admin:markets_asset_changelist"),
                        "active": lambda request: (
                            "/markets/asset/" in request.path and "/asset/duplicates/" not in request.path
                        ),
                    },
                    {
                        "title": "Asset types",
                        "icon": "category",
                        "link": reverse_lazy("admin:markets_assettype_changelist"),
                    },
                    {
                        "title": "Categories",
                        "icon": "folder",
                        "link": reverse_lazy("admin:markets_assetcategory_changelist"),
                    },
                    {
                        "title": "Identifiers",
                        "icon": "fingerprint",
                        "link": reverse_lazy("admin:markets_assetidentifier_changelist"),
                    },
                    {
                        "title": "Imports",
                        "icon": "upload_file",
                        "link": reverse_lazy("admin:markets_importrun_changelist"),
                    },
                    {
                        "title": "Resolve identifiers",
                        "icon": "manage_search",
                        "link": reverse_lazy("admin:markets_resolution_changelist"),
                    },
                    {
                        "title": "Review inbox",
                        "icon": "inbox",
                        "link": reverse_lazy("admin:markets_resolutionitem_changelist"),
                        "badge": "markets.admin.review.number_waiting",
                        "badge_variant": "info",
                    },
                    {
                        "title": "Home markets",
                        "icon": "home_pin",
                        "link": reverse_lazy("admin:markets_homemarketpolicy_changelist"),
                    },
                    {
                        "title": "Remembered decisions",
                        "icon": "rule",
                        "link": reverse_lazy("admin:markets_remembereddecision_changelist"),
                    },
                    {
                        "title": "Duplicates",
                        "icon": "join_inner",
                        "link": reverse_lazy("admin:markets_asset_duplicates"),
                    },
                    {
                        "title": "Waiting for OpenFIGI",
                        "icon": "hourglass",
                        "link": reverse_lazy("admin:markets_pendingresolution_changelist"),
                    },
                    {
                        "title": "Calendars",
                        "icon": "calendar_month",
                        "link": reverse_lazy("admin:markets_calendar_changelist"),
                    },
                ],
            },
            {
                "title": "Instruments",
                "separator": True,
                "items": [
                    {"title": "Issuers", "icon": "apartment", "link": reverse_lazy("admin:markets_issuer_changelist")},
                    {"title": "Bonds", "icon": "receipt_long", "link": reverse_lazy("admin:markets_bond_changelist")},
                    {
                        "title": "Currency spots",
                        "icon": "currency_exchange",
                        "link": reverse_lazy("admin:markets_currencyspot_changelist"),
                    },
                    {"title": "Futures", "icon": "update", "link": reverse_lazy("admin:markets_future_changelist")},
                    {"title": "Indices", "icon": "show_chart", "link": reverse_lazy("admin:markets_index_changelist")},
                    {
                        "title": "Index types",
                        "icon": "label",
                        "link": reverse_lazy("admin:markets_indextype_changelist"),
                    },
                ],
            },
            {
                "title": "Data",
                "separator": True,
                "items": [
                    {
                        "title": "DataNodes",
                        "icon": "account_tree",
                        "link": reverse_lazy("admin:markets_nodeupdate_changelist"),
                        "active": lambda request: "/nodeupdate/" in request.path and "/lineage/" not in request.path,
                    },
                    {"title": "Lineage", "icon": "lan", "link": reverse_lazy("admin:markets_nodeupdate_lineage")},
                    {
                        "title": "Storage",
                        "icon": "database",
                        "link": reverse_lazy("admin:markets_storagenode_changelist"),
                    },
                    {"title": "Runs", "icon": "history", "link": reverse_lazy("admin:markets_noderun_changelist")},
                    {"title": "Jobs", "icon": "pending_actions", "link": reverse_lazy("admin:markets_job_changelist")},
                    {
                        "title": "Schedules",
                        "icon": "schedule",
                        "link": reverse_lazy("admin:django_celery_beat_periodictask_changelist"),
                    },
                ],
            },
            {
                "title": "Portfolios",
                "separator": True,
                "items": [
                    {
                        "title": "Portfolios",
                        "icon": "pie_chart",
                        "link": reverse_lazy("admin:portfolios_portfolio_changelist"),
                    },
                ],
            },
            {
                "title": "Accounts",
                "separator": True,
                "items": [
                    {
                        "title": "Accounts",
                        "icon": "account_balance",
                        "link": reverse_lazy("admin:portfolios_account_changelist"),
                    },
                    {
                        "title": "Account groups",
                        "icon": "groups",
                        "link": reverse_lazy("admin:portfolios_accountgroup_changelist"),
                    },
                    {
                        "title": "Allocation models",
                        "icon": "schema",
                        "link": reverse_lazy("admin:portfolios_accountallocationmodel_changelist"),
                    },
                    {
                        "title": "Target allocations",
                        "icon": "target",
                        "link": reverse_lazy("admin:portfolios_accounttargetallocation_changelist"),
                    },
                    {
                        "title": "Position sets",
                        "icon": "checklist",
                        "link": reverse_lazy("admin:portfolios_positionset_changelist"),
                    },
                    {
                        "title": "Holdings sets",
                        "icon": "inventory_2",
                        "link": reverse_lazy("admin:portfolios_accountholdingsset_changelist"),
                    },
                    {
                        "title": "Virtual funds",
                        "icon": "savings",
                        "link": reverse_lazy("admin:portfolios_virtualfund_changelist"),
                    },
                ],
            },
            {
                "title": "Administration",
                "separator": True,
                "items": [
                    {"title": "Users", "icon": "person", "link": reverse_lazy("admin:auth_user_changelist")},
                    {"title": "Groups", "icon": "group", "link": reverse_lazy("admin:auth_group_changelist")},
                    {
                        "title": "Access tokens",
                        "icon": "key",
                        "link": reverse_lazy("admin:markets_accesstoken_changelist"),
                    },
                    {
                        "title": "Recent changes",
                        "icon": "manage_history",
                        "link": reverse_lazy("admin:markets_change_changelist"),
                    },
                ],
            },
        ],
    },
    "STYLES": [lambda request: static("markets/back_office.css")],
    "SCRIPTS": [],
}
only_permitted(UNFOLD["SIDEBAR"]["navigation"])  # type: ignore[index]
