import { isJsonObject, type JsonObject } from '../../util/json.js'

const TAGS = [
  ...['font', 'del', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'p', 'a', 'ul', 'ol', 'nl', 'li', 'b'],
  ...['i', 'u', 'strong', 'em', 'strike', 'code', 'hr', 'br', 'div', 'table', 'thead', 'caption', 'tbody'],
  ...['tr', 'th', 'td', 'pre', 'span', 'details', 'summary', 'sup', 'sub'],
]
const MAX_LENGTH = 10_000
const LINK = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)]/g

/** The text of a message as HTML that nobody need fear: its own where it has some, without what could do harm. */
export async function messageHtml(content: JsonObject): Promise<string> {
  const { format, formatted_body: formatted } = content
  if (format === 'org.matrix.custom.html' && typeof formatted === 'string') {
    const { default: sanitize } = await import('sanitize-html')
    return sanitize(withoutReply(formatted).slice(0, MAX_LENGTH), {
      allowedTags: TAGS,
      allowedAttributes: { a: ['href', 'title'], font: ['color'], ol: ['start'] },
      allowedSchemes: ['http', 'https', 'mailto'],
      disallowedTagsMode: 'discard',
    })
  }
  return linkify(plainBody(content))
}

/** The text of a message without the one that it answers. */
export function plainBody(content: JsonObject): string {
  const { body } = content
  if (typeof body !== 'string') return ''
  const text = isReply(content) ? body.replace(/^(> .*\n?)+\n?/, '') : body
  return text.slice(0, MAX_LENGTH)
}

function isReply(content: JsonObject): boolean {
  const relation = content['m.relates_to']
  return isJsonObject(relation) && 'm.in_reply_to' in relation
}

function withoutReply(html: string): string {
  return html.replace(/<mx-reply>[\s\S]*?<\/mx-reply>/, '')
}

function linkify(text: string): string {
  let html = ''
  let end = 0
  for (const match of text.matchAll(LINK)) {
    const url = escapeHtml(match[0])
    html += `${escapeHtml(text.slice(end, match.index))}<a href="${url}">${url}</a>`
    end = match.index + match[0].length
  }
  return (html + escapeHtml(text.slice(end))).replaceAll('\n', '<br>')
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
