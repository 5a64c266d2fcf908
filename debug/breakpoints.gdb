# The way of one message in eight stops (DEBUGGING.md):
#
#     rust-gdb -x debug/breakpoints.gdb --args target/debug/minim demo --fast --trace rounds --patience 1000
#
# then `run`, and `continue` from stop to stop. One process has the server and three consoles, so all of them can stop. Each
# stop shows what it is about and switches on the next one; the first is the first text that somebody sends.
set pagination off
set print thread-events off

break minim::client::Client::send_text
break minim::wire::Sender::send
break minim::des::round
break minim::wire::Receiver::open
break minim::server::chat::Client::chat_send_msg
break minim::store::messages::add_messages
break minim::server::online::OnlineUsers::deliver
break minim::client::screen::Painter::show if (*lines.data_ptr).mark.vec.len == 0
disable 2 3 4 5 6 7 8

commands 1
  echo == stop 1: what was typed becomes CHAT_SEND_MSG\n
  print to
  print text
  disable 1
  enable once 2
end
commands 2
  echo == stop 2: one body becomes one frame\n
  print body.length
  print self.sequence
  enable once 3
end
commands 3
  echo == stop 3: one round of DES\n
  print/x l
  print/x r
  print/x k
  backtrace 3
  enable once 4
end
commands 4
  echo == stop 4: MAC, and only then decryption\n
  print frame.length
  print self.sequence
  enable once 5
end
commands 5
  echo == stop 5: check, store, deliver, acknowledge\n
  print from
  print request.to_id
  print request.msg_text
  enable once 6
end
commands 6
  echo == stop 6: one row, one commit\n
  print messages.length
  print messages.data_ptr[0].new
  enable once 7
end
commands 7
  echo == stop 7: the receiver's queue\n
  print uid
  backtrace 3
  enable once 8
end
commands 8
  echo == stop 8: the line appears\n
  print lines.data_ptr[0].rows
  print lines.data_ptr[0].id
end
