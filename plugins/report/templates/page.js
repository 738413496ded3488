"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const clamp = (number, least, most) => Math.min(Math.max(number, least), most);

  /** A sound with its spectrogram: a playhead that moves over it, and a slider to seek with. */
  class Player {
    constructor(figure, moved) {
      this.audio = figure.querySelector("audio");
      this.line = figure.querySelector(".playhead");
      this.place = figure.querySelector(".place");
      this.seconds = Number(figure.dataset.seconds);
      this.moved = moved;
      this.line.hidden = this.place.hidden = false;
      for (const event of ["timeupdate", "seeking", "seeked", "pause", "ended"]) {
        this.audio.addEventListener(event, () => this.show());
      }
      this.audio.addEventListener("play", () => {
        figure.classList.add("playing");
        this.follow();
      });
      this.audio.addEventListener("pause", () => figure.classList.remove("playing"));
      for (const event of ["focus", "pointerdown", "keydown"]) {
        this.place.addEventListener(event, () => this.tell());
      }
      this.place.addEventListener("keydown", (event) => this.key(event));
      this.place.addEventListener("input", () => this.seek(Number(this.place.value)));
      this.tell();
    }

    /** Updates everything that shows the time, at every frame, so that words light up in time. */
    follow() {
      this.show(calm.matches);
      if (!this.audio.paused) requestAnimationFrame(() => this.follow());
    }

    show(still = false) {
      const time = this.audio.currentTime;
      if (!still) this.line.style.left = `${clamp((100 * time) / this.seconds, 0, 100)}%`;
      if (this.audio.paused) this.tell();
      this.moved(this, time);
    }

    /** Updates the slider; not while the sound plays, or screen readers would never be quiet. */
    tell() {
      const time = this.audio.currentTime;
      this.place.value = time;
      const text = `${time.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`;
      this.place.setAttribute("aria-valuetext", text);
    }

    key(event) {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
      if (event.key in steps) this.seek(this.audio.currentTime + steps[event.key]);
      else if (event.key === " " || event.key === "Enter") this.toggle();
      else return;
      event.preventDefault();
    }

    seek(time) {
      this.audio.currentTime = clamp(time, 0, this.seconds);
      this.show();
      this.tell();
    }

    play() {
      this.audio.play().catch(() => {});
    }

    toggle() {
      if (this.audio.paused) this.play();
      else this.audio.pause();
    }
  }

  /** A text whose words light up while they are sung; choosing one plays the song from there. */
  class TimedText {
    constructor(box, chosen) {
      this.box = box;
      box.classList.add("live");
      this.words = all(".word", box).map((span) => this.button(span, chosen));
      this.lit = this.line = null;
      if (this.words.length) this.words[0].button.tabIndex = 0;
      box.addEventListener("keydown", (event) => this.key(event));
    }

    button(span, chosen) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "word";
      button.textContent = span.textContent;
      button.tabIndex = -1;
      span.replaceWith(button);
      const word = { button, start: Number(span.dataset.start), end: Number(span.dataset.end) };
      button.addEventListener("click", () => {
        this.reach(button);
        chosen(word.start);
      });
      return word;
    }

    /** Makes one word reachable with Tab: the last that was chosen or sung. */
    reach(button) {
      for (const word of this.words) word.button.tabIndex = word.button === button ? 0 : -1;
    }

    key(event) {
      const buttons = this.words.map((word) => word.button);
      const at = buttons.indexOf(document.activeElement);
      if (at < 0) return;
      const right = getComputedStyle(buttons[at]).direction === "rtl" ? -1 : 1;
      const to = {
        ArrowRight: at + right,
        ArrowLeft: at - right,
        ArrowDown: this.beside(at, 1),
        ArrowUp: this.beside(at, -1),
        Home: 0,
        End: buttons.length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const button = buttons[clamp(to, 0, buttons.length - 1)];
      this.reach(button);
      button.focus();
    }

    /** The first word of the next line, or of the line before. */
    beside(at, step) {
      const lines = this.words.map((word) => word.button.parentElement);
      const each = [...new Set(lines)];
      const line = each[each.indexOf(lines[at]) + step];
      return line ? lines.indexOf(line) : at;
    }

    show(time) {
      const last = this.words.findLastIndex((word) => word.start <= time);
      const lit = last >= 0 && time < this.words[last].end ? this.words[last].button : null;
      if (lit === this.lit && last === this.last) return;
      this.words.forEach((word, number) => word.button.classList.toggle("sung", number <= last));
      if (this.lit) this.lit.removeAttribute("aria-current");
      if (lit) lit.setAttribute("aria-current", "true");
      Object.assign(this, { lit, last });
      this.follow(last >= 0 ? this.words[last].button : null);
    }

    /** Scrolls to the line that is sung, unless the reader is elsewhere in the text. */
    follow(button) {
      const line = button && button.parentElement;
      if (!button || this.box.contains(document.activeElement)) return;
      this.reach(button);
      if (line === this.line || this.box.matches(":hover")) return;
      this.line = line;
      const top = line.offsetTop - this.box.offsetTop - this.box.clientHeight / 2;
      this.box.scrollTo({ top, behavior: calm.matches ? "auto" : "smooth" });
    }
  }

  for (const item of all(".item")) {
    let current = null;
    const texts = [];
    const moved = (player, time) => {
      if (!player.audio.paused || player.audio.seeking) current = player;
      if (player === current) for (const text of texts) text.show(time);
    };
    const players = all(".player", item).map((figure) => new Player(figure, moved));
    const boxes = all(".lines.timed", item);
    if (!players.length || !boxes.length) continue;
    current = players[0];
    const chosen = (time) => {
      current.seek(time);
      current.play();
    };
    for (const box of boxes) texts.push(new TimedText(box, chosen));
    for (const hint of all(".hint[hidden]", item)) hint.hidden = false;
  }

  // one sound plays at a time
  const hush = (event) => {
    for (const audio of all("audio")) if (audio !== event.target) audio.pause();
  };
  document.addEventListener("play", hush, true);

  const status = document.querySelector(".copied");
  for (const button of all(".copy")) {
    const name = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      const done = (await copy(source)) ? "Copied" : "Press Ctrl+C to copy";
      button.textContent = status.textContent = done;
      setTimeout(() => {
        button.textContent = name;
        status.textContent = "";
      }, 3000);
    });
  }

  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(source);
      return document.execCommand("copy");
    }
  }
})();
