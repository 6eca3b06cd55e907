import { section } from '../section.js'
import { flag, group, optional, text, withDefault } from '../values.js'

/** Messages of the server itself to its users. */
export const serverNotices = section(
  {
    server_notices: optional(
      group({
        system_mxid_localpart: text,
        system_mxid_display_name: optional(text),
        system_mxid_avatar_url: optional(text),
        room_name: withDefault(text, 'Server Notices'),
        room_avatar_url: optional(text),
        room_topic: optional(text),
        auto_join: withDefault(flag, false),
      }),
    ),
  },
  ({ server_notices: raw }) => ({
    /** Absent where the server has nothing to say by itself. */
    ...(raw && {
      sender: {
        localpart: raw.system_mxid_localpart,
        displayName: given(raw.system_mxid_display_name),
        avatarUrl: given(raw.system_mxid_avatar_url),
      },
      room: {
        name: raw.room_name,
        avatarUrl: given(raw.room_avatar_url),
        topic: given(raw.room_topic),
        /** Users are joined, not only invited. */
        autoJoin: raw.auto_join,
      },
    }),
  }),
)

function given(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
