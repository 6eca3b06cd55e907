import { connect } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import type { Clock } from '../../util/clock.js'

/** What a mail server says of itself before anything else is said. */
export interface SmtpGreeting {
  readonly banner: string
  /** In capitals, as in `STARTTLS`, with their parameters. */
  readonly extensions: readonly string[]
}

const TIMEOUT_MS = 10_000
const MAX_CHARACTERS = 16_384
/** The last line of an answer; those before it have a `-` behind the number. */
const LAST_LINE = /^(\d{3})(?: .*)?$/

/** Connects without TLS, says EHLO and goes. Rejects with why a server does not answer as a mail server does. */
export async function readSmtpGreeting(
  { host, port }: { readonly host: string; readonly port: number },
  clock: Pick<Clock, 'setTimeout'>,
): Promise<SmtpGreeting> {
  const socket = connect({ host, port })
  const timer = clock.setTimeout(() => socket.destroy(new Error('no answer')), TIMEOUT_MS)
  const decoder = new StringDecoder('utf8')
  let unread = ''
  const lines: string[] = []
  const answers: string[][] = []
  try {
    for await (const chunk of socket) {
      unread += decoder.write(chunk as Buffer)
      if (unread.length > MAX_CHARACTERS) throw new Error('it is no mail server')
      const parts = unread.split(/\r?\n/)
      unread = parts.pop() ?? ''
      for (const line of parts) {
        lines.push(line)
        if (!LAST_LINE.test(line)) continue
        answers.push(lines.splice(0))
        if (answers.length === 2) return toGreeting(answers)
        if (!line.startsWith('220')) throw new Error(`it says ${line.slice(0, 200)}`)
        socket.write('EHLO localhost\r\n')
      }
    }
    throw new Error('it has closed the connection')
  } finally {
    timer.cancel()
    socket.end('QUIT\r\n')
    socket.destroy()
  }
}

function toGreeting([banner = [], hello = []]: readonly string[][]): SmtpGreeting {
  return {
    banner: banner.map((line) => line.slice(4)).join(' '),
    extensions: hello.slice(1).map((line) => line.slice(4).toUpperCase()),
  }
}
