// What the watcher sees: lines of what happened, and below them, on a terminal, a board that is drawn over
// and over.

const REDRAW_MS = 250;
const PLAIN_STATUS_MS = 2000;
const CLEAR_LINE = "\u001b[2K";
const color = (code: number) => (text: string) =>
  process.stderr.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text;

export const bold = color(1);
export const dim = color(2);
export const red = color(31);
export const green = color(32);
export const yellow = color(33);
export const cyan = color(36);

export class Screen {
  readonly #startedAt = performance.now();
  readonly #tty = process.stderr.isTTY === true;
  #board: () => readonly string[] = () => [];
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Begins to show the board; `lines` is asked at every redraw. */
  show(lines: () => readonly string[]): void {
    this.#board = lines;
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#redraw(), this.#tty ? REDRAW_MS : PLAIN_STATUS_MS);
  }

  /** One line of the story. */
  say(text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(6);
    this.#erase();
    process.stderr.write(`${dim(`${seconds} s`)}  ${text}\n`);
    if (this.#tty) this.#draw();
  }

  close(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
    this.#board = () => [];
    this.#erase();
  }

  #redraw(): void {
    this.#erase();
    this.#draw();
  }

  #draw(): void {
    const lines = this.#board();
    const width = this.#tty ? (process.stderr.columns ?? 120) : 200;
    process.stderr.write(lines.map((line) => `${line.slice(0, width + 40)}\n`).join(""));
    this.#drawn = lines.length;
  }

  #erase(): void {
    if (!this.#tty) return;
    for (; this.#drawn > 0; this.#drawn--) process.stderr.write(`\u001b[1A${CLEAR_LINE}`);
  }
}
