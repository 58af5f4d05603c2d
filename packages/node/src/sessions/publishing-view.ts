// The session view of a member whose forwarder holds back what it has not shown yet (embryos): before another
// member's question is answered, the forwarder puts what it knows into the table.
import {
  PLAIN_SESSIONS,
  type PlainRecord,
  type SessionQuestion,
  type SessionRecord,
  SessionView,
} from "@holdfast/model";

/** The same of TCP and UDP: young flows are shown to whoever asks. */
class PublishingPlainView extends SessionView<PlainRecord> {
  readonly #beforeAnswer: (question: SessionQuestion) => void;

  constructor(beforeAnswer: (question: SessionQuestion) => void) {
    super(PLAIN_SESSIONS);
    this.#beforeAnswer = beforeAnswer;
  }

  override answer(question: SessionQuestion): readonly PlainRecord[] {
    this.#beforeAnswer(question);
    return super.answer(question);
  }
}

export class PublishingView extends SessionView {
  /** Set once the forwarder is there. */
  beforeAnswer: ((question: SessionQuestion) => void) | undefined = undefined;
  /** Of TCP and UDP. */
  readonly plain = new PublishingPlainView((question) => this.beforeAnswer?.(question));

  override answer(question: SessionQuestion): readonly SessionRecord[] {
    this.beforeAnswer?.(question);
    return super.answer(question);
  }
}
