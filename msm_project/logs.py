"""One JSON object per log line, with the request or job that caused it."""

import logging

import structlog


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders records of the standard library and of structlog alike."""

    def __init__(self) -> None:
        shared = [
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        super().__init__(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )


class FinishedRequests(logging.Filter):
    """One line a request, when it has ended; none for the probes that ask every few seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.msg, dict) or record.msg.get("event") not in ("request_started", "request_finished"):
            return True
        if record.msg["event"] == "request_started":
            return False
        probe = str(record.msg.get("request", "")).endswith((" /health", " /ready"))
        return not (probe and record.msg.get("code", 200) < 400)


def configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
