// Shows how far a job has come, and asks for a run when "Run now" is pressed.
"use strict";

(() => {
  const INTERVAL = 700; // milliseconds between two looks: quick enough to feel live
  const PATIENCE = 5; // failed looks in a row before the page says that it has lost the server

  class Progress {
    constructor(element) {
      this.element = element;
      this.button = null;
      this.failures = 0;
      this.turn = 0;
      if (element.dataset.url) {
        this.watch(element.dataset.url);
      }
    }

    part(name) {
      return this.element.querySelector(`[data-${name}]`);
    }

    show(name, text) {
      const part = this.part(name);
      part.textContent = text || "";
      if (part.tagName === "P") {
        part.hidden = !text;
      }
    }

    watch(url) {
      this.turn += 1;
      this.failures = 0;
      this.element.hidden = false;
      this.part("links").hidden = true;
      this.look(url, this.turn);
    }

    refuse(text) {
      this.turn += 1;
      this.element.hidden = false;
      this.element.dataset.state = "failed";
      this.show("status", "Not started");
      this.show("text", "");
      this.show("elapsed", "");
      this.show("eta", "");
      this.show("counts", "");
      this.show("warning", "");
      this.show("error", text);
      this.part("messages").replaceChildren();
      this.part("links").hidden = true;
      this.fill(0, false);
    }

    async look(url, turn) {
      let state = null;
      try {
        const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (response.redirected || response.status === 403) {
          this.show("warning", "You are no longer logged in, or may not see this job. Reload the page.");
          return;
        }
        if (response.ok) {
          state = await response.json();
        }
      } catch {
        state = null;
      }
      if (turn !== this.turn) {
        return;
      }
      if (state === null) {
        this.failures += 1;
        if (this.failures >= PATIENCE) {
          this.show("warning", "The server does not answer; the job goes on without this page. Still trying.");
        }
      } else {
        this.failures = 0;
        this.draw(state);
      }
      if (state === null || !state.finished) {
        window.setTimeout(() => this.look(url, turn), INTERVAL);
      } else if (this.button) {
        this.button.disabled = false;
      }
    }

    fill(percent, unknown) {
      const bar = this.element.querySelector(".msm-bar");
      bar.classList.toggle("msm-unknown", unknown);
      this.part("bar").style.width = `${percent}%`;
      if (unknown) {
        bar.removeAttribute("aria-valuenow");
      } else {
        bar.setAttribute("aria-valuenow", String(Math.round(percent)));
      }
    }

    draw(state) {
      this.element.dataset.state = state.status;
      const finished = state.finished;
      const known = state.total > 0;
      const percent = state.status === "succeeded" ? 100 : known ? Math.min(100, (100 * state.done) / state.total) : 0;
      this.fill(percent, !finished && !known);
      const share = state.status === "running" && known ? ` ${Math.floor(percent)} %` : "";
      this.show("status", finished ? state.result : `${state.status_text}${share}`);
      this.show("text", finished ? "" : state.text);
      this.show("elapsed", state.elapsed);
      this.show("eta", state.eta);
      this.show("counts", state.counts);
      this.show("warning", state.warning);
      this.show("error", state.error);
      this.part("messages").replaceChildren(
        ...state.messages.map((message) => {
          const line = document.createElement("li");
          line.className = `msm-message-${message.level}`;
          line.textContent = `${message.time} ${message.text}`;
          return line;
        }),
      );
      const cancel = this.element.parentElement.querySelector("[data-cancel-form]");
      if (cancel) {
        cancel.hidden = !state.cancellable;
      }
      if (this.element.closest("[data-refresh]") && state.counts !== this.counts) {
        this.counts = state.counts; // something has changed: the table of steps too
        this.refresh();
      }
      if (finished && this.element.closest("[data-reload]")) {
        window.location.reload(); // the page shows the result in place of the progress
      } else if (finished) {
        this.link(state);
      }
    }

    // Fetches the page again and puts its table of steps, which the server draws, in place of the one shown.
    async refresh() {
      const shown = document.querySelector("[data-steps]");
      if (!shown || shown.contains(document.activeElement)) {
        return;
      }
      try {
        const response = await fetch(window.location.href, { credentials: "same-origin" });
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.querySelector("[data-steps]");
        if (response.ok && fresh) {
          shown.replaceChildren(...fresh.childNodes);
        }
      } catch {
        // the bar says when the server is gone
      }
    }

    link(state) {
      const links = [];
      const add = (text, url) => {
        const link = document.createElement("a");
        link.className = "msm-link";
        link.textContent = text;
        link.href = url;
        links.push(link);
      };
      if (state.run_url) {
        add("Open the run", state.run_url);
      }
      if (state.job_url && new URL(state.job_url, window.location.href).pathname !== window.location.pathname) {
        add("Open the job", state.job_url);
      }
      if (this.button) {
        add("Reload this page to see its rows", window.location.pathname);
      }
      const part = this.part("links");
      part.replaceChildren(...links);
      part.hidden = false;
    }
  }

  function offerRun(panel, progress) {
    const form = panel.querySelector("[data-run-form]");
    if (!form) {
      return;
    }
    const button = form.querySelector("button");
    progress.button = button;
    if (progress.element.dataset.url) {
      button.disabled = true;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const response = await fetch(form.action, {
          method: "POST",
          body: new FormData(form),
          headers: { Accept: "application/json" },
          credentials: "same-origin",
        });
        const answer = response.headers.get("Content-Type")?.includes("json") ? await response.json() : {};
        if (response.ok && answer.progress_url) {
          progress.watch(answer.progress_url);
          return;
        }
        progress.refuse(answer.error || `The server answered ${response.status}. Reload the page and try again.`);
      } catch {
        progress.refuse("The server cannot be reached. Is it running? Start it with: make run");
      }
      button.disabled = false;
    });
  }

  window.addEventListener("DOMContentLoaded", () => {
    for (const panel of document.querySelectorAll("[data-run-panel]")) {
      const element = panel.querySelector("[data-job-progress]");
      offerRun(panel, new Progress(element));
    }
  });
})();
