import type { Templates } from '../../net/templates.js'

export interface StartPagesOptions {
  readonly serverName: string
  /** `public_baseurl`, with a slash at its end. */
  readonly publicBaseUrl: string
  /** `web_client_location`. */
  readonly webClientLocation: string | undefined
}

/** What people find who come to the server with a browser. */
export class StartPages {
  readonly #templates: Pick<Templates, 'render'>
  readonly #options: StartPagesOptions

  constructor(templates: Pick<Templates, 'render'>, options: StartPagesOptions) {
    this.#templates = templates
    this.#options = options
  }

  /** Where who comes to the root is sent: a client, or the page that says what this is. */
  get start(): string {
    return this.#options.webClientLocation ?? '/_matrix/static/'
  }

  /** What this server is, and how to use it. */
  async renderWelcome(): Promise<string> {
    const { serverName, publicBaseUrl } = this.#options
    return this.#templates.render('welcome.html', { server_name: serverName, base_url: publicBaseUrl })
  }

  /**
   * The page that logs in for clients that know none of the ways to.
   * https://spec.matrix.org/latest/client-server-api/#login-fallback
   */
  async renderLogin(): Promise<string> {
    return this.#templates.render('login.html', { server_name: this.#options.serverName })
  }
}
