package dsn

import "postern/internal/message"

// anyDetail stands for every detail of a subject.
const anyDetail = -1

// meaning is what an enhanced status code says in plain words (RFC 3463, the
// IANA registry of enhanced status codes, and Exchange's uses of it).
type meaning struct {
	subject, detail int
	what            string // what happened
	do              string // what a sender can do about a failure
}

const (
	checkAddress  = "Check the address for mistakes and send the message again, or ask the recipient for the address by other means."
	tellAdmin     = "The message was not at fault; show this report to your administrator."
	tellRecipient = "Ask the recipient by other means to have this changed, and send the message again then."
	smaller       = "Send the message with smaller or fewer attachments, or share them in another way."
	otherWay      = "Reach the recipient in another way, or send the message again later."
	proveSender   = "Send from the mail system that your domain provides for it. Your administrator may have to correct SPF, DKIM or DMARC of your domain."
)

// meanings lists the most specific first.
func meanings() []meaning {
	return []meaning{
		{1, 1, "The address does not exist: its mail system does not know the part before the @.", checkAddress},
		{1, 10, "The address does not exist: its mail system does not know the part before the @.", checkAddress},
		{1, 2, "The domain behind the @ does not exist or takes no mail.", "Check the part behind the @ for mistakes and send the message again."},
		{1, 3, "The address is not written as an address must be.", checkAddress},
		{1, 4, "The address stands for more than one recipient.", checkAddress},
		{1, 6, "The recipient has moved and left no new address.", "Ask the recipient for the new address by other means."},
		{1, 7, "Your own address, as the message gives it, was not accepted.", "Check your address in your mail program, or ask your administrator."},
		{1, 8, "Your own address, as the message gives it, was not accepted.", "Check your address in your mail program, or ask your administrator."},
		{1, 0, "An address of the message was not accepted, the recipient's or your own.", checkAddress},
		{1, anyDetail, "The recipient's address was not accepted.", checkAddress},
		{2, 1, "The mailbox exists but takes no mail at present.", otherWay},
		{2, 2, "The recipient's mailbox is full.", otherWay},
		{2, 3, "The message is larger than the recipient may receive.", smaller},
		{2, 4, "The address is a mailing list that could not be expanded.", tellRecipient},
		{2, anyDetail, "There is something amiss with the recipient's mailbox.", otherWay},
		{3, 1, "The recipient's mail system had no room for the message.", otherWay},
		{3, 2, "The recipient's mail system takes no messages at present.", otherWay},
		{3, 4, "The message is too large for a mail system on the way.", smaller},
		{3, 5, "A mail system on the way is not set up correctly.", tellAdmin},
		{3, anyDetail, "A mail system on the way had a problem of its own.", tellAdmin},
		{4, 1, "The recipient's mail system could not be reached, or does not take mail for this address.", otherWay},
		{4, 2, "The connection to the recipient's mail system broke off.", otherWay},
		{4, 3, "A directory that the mail system needs could not be asked.", otherWay},
		{4, 4, "There is no way to the recipient's domain: it does not exist, or names no server for mail.", "Check the part behind the @ for mistakes and send the message again."},
		{4, 6, "The mail systems hand the message round in a circle.", "Show this report to your administrator, or to that of the recipient's mail system."},
		{4, 8, "The mail systems hand the message round in a circle.", "Show this report to your administrator, or to that of the recipient's mail system."},
		{4, 14, "The mail systems hand the message round in a circle.", "Show this report to your administrator, or to that of the recipient's mail system."},
		{4, 7, "The recipient's mail system could not be reached, or did not take the message, for as long as it was tried.", "Send the message again later, or reach the recipient in another way."},
		{4, anyDetail, "The message found no way to the recipient's mail system.", otherWay},
		{5, 3, "The message has more recipients than the mail system takes.", "Send the message to fewer recipients at a time."},
		{5, anyDetail, "The mail systems did not understand one another.", tellAdmin},
		{6, 7, "The message uses addresses or header fields beyond plain Latin letters, which the recipient's mail system does not take.", "Use addresses and names of plain Latin letters, and send the message again."},
		{6, 11, "The message holds data in a form that the recipient's mail system does not take.", "Send the message again with its attachments in the usual form, or in another way."},
		{6, anyDetail, "The content of the message was not accepted; its format or an attachment may be the reason.", "Change the message, or send its attachments in another way."},
		{7, 4, "The connection to the recipient's mail system could not be protected as it must be.", tellAdmin},
		{7, 5, "The connection to the recipient's mail system could not be protected as it must be.", tellAdmin},
		{7, 10, "The connection to the recipient's mail system could not be protected as it must be.", tellAdmin},
		{7, 30, "The message was sent with REQUIRETLS, and the way to the recipient is not protected throughout.", "Send the message without asking for protection all the way, if it may travel so."},
		{7, 3, "The mail system wanted proof of identity that it did not get.", tellAdmin},
		{7, 8, "The mail system wanted proof of identity that it did not get.", tellAdmin},
		{7, 57, "The mail system wanted proof of identity that it did not get.", tellAdmin},
		{7, 54, "The mail system that was asked does not take mail for this address.", checkAddress},
		{7, 60, "You may not send in the name that the message gives as its sender.", "Check your address in your mail program, or ask your administrator."},
		{7, 2, "You may not send to this mailing list.", tellRecipient},
		{7, 13, "The account of the sender or of the recipient is disabled.", tellAdmin},
		{7, 20, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 21, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 22, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 23, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 24, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 25, "The recipient's mail system does not trust the server that the message came from.", tellAdmin},
		{7, 26, "The recipient's mail system could not make sure that the message comes from your domain.", proveSender},
		{7, 27, "Your domain says of itself that it takes no mail, so that nobody could answer you.", tellAdmin},
		{7, 28, "The recipient gets too much mail just now.", otherWay},
		{7, 1, "The message was refused by a rule: you may not send to this recipient, or the message was taken for unwanted.", "The reply may say which rule it was. Ask the recipient by other means, or your administrator."},
		{7, anyDetail, "The message was refused for reasons of security or policy.", "The reply may say which. Ask the recipient by other means, or your administrator."},
	}
}

// explainCode puts a recipient's end into plain words. Both are empty when the
// code says nothing.
func explainCode(kind Kind, st *message.RecipientState) (what, do string) {
	if kind == Relayed {
		return "", ""
	}
	if st.Status == message.Removed {
		return "An administrator removed the message before it was delivered.", "Ask your administrator for the reason before you send it again."
	}
	e := st.Reply.Enhanced
	if e[0] == 4 || e[0] == 5 {
		for _, m := range meanings() {
			if m.subject == e[1] && (m.detail == e[2] || m.detail == anyDetail) {
				what, do = m.what, m.do
				break
			}
		}
	}
	switch {
	case kind == Delay:
		return what, ""
	case do == "":
		do = "If the reason is not clear, show this report to your administrator."
	}
	return what, do
}
