import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const TIMEOUT_MS = 30_000

/** Somebody on an IRC server: what a person with a simple client sees and says. */
export class IrcClient implements Disposable {
  readonly #socket: Socket
  /** Everything that the server has said, line by line. */
  readonly lines: string[] = []
  #rest = ''
  #waiting: (() => void)[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#take(text))
  }

  /** Connects and gives a nickname; resolves when the server has welcomed it. */
  static async connect(port: number, nick: string): Promise<IrcClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const client = new IrcClient(socket)
    client.#send(`NICK ${nick}`)
    client.#send(`USER ${nick} 0 * :${nick}`)
    await client.waitFor(/^:\S+ 001 /)
    return client
  }

  /** Resolves when everybody in the channel has been named. */
  async join(channel: string): Promise<void> {
    this.#send(`JOIN ${channel}`)
    await this.waitFor(new RegExp(`^:\\S+ 366 \\S+ ${channel} `))
  }

  say(target: string, text: string): void {
    this.#send(`PRIVMSG ${target} :${text}`)
  }

  /** Resolves with the first line, old or new, that a pattern matches. */
  async waitFor(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + TIMEOUT_MS
    for (;;) {
      const line = this.lines.find((candidate) => pattern.test(candidate))
      if (line !== undefined) return line
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`No line of IRC matches ${pattern.source}:\n${this.lines.join('\n')}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #send(line: string): void {
    this.#socket.write(`${line}\r\n`)
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\r\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('PING ')) this.#send(line.replace('PING', 'PONG'))
      else this.lines.push(line)
    }
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
