// The session view of a member whose forwarder holds back what it has not shown yet (embryos): before another member's
// question is answered, the forwarder puts what it knows into the table.
import { type SessionQuestion, type SessionRecord, SessionView } from "@holdfast/model";

export class PublishingView extends SessionView {
  /** Set once the forwarder is there. */
  beforeAnswer: ((question: SessionQuestion) => void) | undefined = undefined;

  override answer(question: SessionQuestion): readonly SessionRecord[] {
    this.beforeAnswer?.(question);
    return super.answer(question);
  }
}
