package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// The inbox belongs to development and not to the document, so no generated code reads it.
type inbox struct {
	Items []struct {
		Text string `json:"text"`
	} `json:"items"`
}

// mailedToken waits for the mail with a link that begins like this and takes the token out of it, as the reader's
// browser would.
func (j journey) mailedToken(ctx context.Context, start string) (string, error) {
	link := regexp.MustCompile(regexp.QuoteMeta(start) + `(\S+)`)
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	for {
		mails, err := j.readInbox(ctx)
		if err != nil {
			return "", err
		}
		for _, mail := range mails.Items {
			if found := link.FindStringSubmatch(mail.Text); found != nil {
				return found[1], nil
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return "", errors.Join(errors.New("no mail came"), ctx.Err())
		}
	}
}

func (j journey) readInbox(ctx context.Context) (mails inbox, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.baseURL+"/dev/inbox?to="+url.QueryEscape(j.email), nil)
	if err != nil {
		return mails, err
	}
	req.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return mails, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return mails, fmt.Errorf("the inbox answers %s", response.Status)
	}
	return mails, json.NewDecoder(response.Body).Decode(&mails)
}
