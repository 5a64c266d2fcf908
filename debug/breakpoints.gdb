# The way of one message in eight stops (DEBUGGING.md):
#
#     rust-gdb -x debug/breakpoints.gdb --args target/debug/minim demo --fast --trace rounds --patience 1000
#
# then `run`, and `continue` from stop to stop. One process has the server and three consoles, so all of them can stop. Each
# stop switches on the next one and shows what it is about; the first is the first text that somebody sends.
set pagination off
set print thread-events off

break minim::client::Client::send_text
break minim::wire::Sender::send
break minim::des::round
break minim::wire::Receiver::open
break minim::server::chat::Client::chat_send_msg
break minim::store::messages::add_messages if messages.length > 0
break minim::server::online::OnlineUsers::deliver
break minim::client::screen::Painter::show if (*lines.data_ptr).mark.vec.len == 0
disable 2 3 4 5 6 7 8

commands 1
  echo == stop 1: what was typed becomes CHAT_SEND_MSG\n
  disable 1
  enable once 2
  print to
  print text
end
commands 2
  echo == stop 2: one body becomes one frame\n
  enable once 3
  print body.length
  print self.sequence
  x/s body.data_ptr
end
commands 3
  echo == stop 3: one round of DES\n
  enable once 4
  print/x l
  print/x r
  print/x k
  backtrace 3
end
commands 4
  echo == stop 4: MAC, and only then decryption\n
  enable once 5
  print frame.length
  print self.sequence
end
commands 5
  echo == stop 5: who sends it is known, and it goes to the store\n
  enable once 6
  print from
  print request.to_id
  print request.msg_text
end
commands 6
  echo == stop 6: one row, one commit\n
  enable once 7
  print messages.length
  print messages.data_ptr[0].new
end
commands 7
  echo == stop 7: the receiver's queue\n
  enable once 8
  print uid
  print *message
  backtrace 3
end
commands 8
  echo == stop 8: the line appears\n
  print lines.data_ptr[0].rows
  print lines.data_ptr[0].id
end
