import type { Templates } from '../../net/templates.js'
import type { Pushers } from './pushers.js'
import type { UnsubscribeLinks, UnsubscribeQuery } from './unsubscribe-links.js'

/** The pages behind the links with which people end mails. */
export class MailSubscriptions {
  readonly #links: Pick<UnsubscribeLinks, 'parse'>
  readonly #pushers: Pick<Pushers, 'delete'>
  readonly #templates: Pick<Templates, 'render'>

  constructor(parts: {
    readonly links: Pick<UnsubscribeLinks, 'parse'>
    readonly pushers: Pick<Pushers, 'delete'>
    readonly templates: Pick<Templates, 'render'>
  }) {
    this.#links = parts.links
    this.#pushers = parts.pushers
    this.#templates = parts.templates
  }

  /** A page that asks. Throws `M_FORBIDDEN` for links that this server has not made. */
  renderQuestion(query: UnsubscribeQuery): Promise<string> {
    const { pushkey } = this.#links.parse(query)
    return this.#templates.render('unsubscribe.html', { address: pushkey, is_done: false })
  }

  /** Ends the mails; a page that says so. Throws as `renderQuestion`. */
  async end(query: UnsubscribeQuery): Promise<string> {
    const key = this.#links.parse(query)
    await this.#pushers.delete(key)
    return this.#templates.render('unsubscribe.html', { address: key.pushkey, is_done: true })
  }
}
