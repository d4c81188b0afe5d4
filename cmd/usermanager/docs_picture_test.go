//go:build browser

package main

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// docsPicture is what README.md shows.
const docsPicture = "../../server/testdata/docs.png"

const (
	pictureWidth, pictureHeight = 1000, 1100

	// Pictures are compared by the mean colour of blocks of 100 x 100 pixels. Measured in steps of 255: the same page in
	// a font so wide that lines break elsewhere (DejaVu for Liberation) is 4.5 away, with two tags collapsed 5.6,
	// without the operations 9.3, without the description 13.3, and in the dark theme 208.
	pictureBlock     = 100
	pictureTolerance = 5.0

	maxPictureBytes = 150 << 10
)

var update = flag.Bool("update", false, "write the picture of README.md anew")

func TestTheDocsPageIsThePictureInTheReadme(t *testing.T) {
	t.Parallel()
	path := chromium(t)
	_, base := startDev(t, reachableDir(t), devDatabase(t))
	b := startBrowser(t, path, base)

	page := b.openDocs(t, light, "")
	taken := page.picture()
	if *update {
		if err := os.WriteFile(docsPicture, encodePicture(t, taken), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shown := readPicture(t, docsPicture)
	if got := pictureDistance(shown, taken); got > pictureTolerance {
		t.Errorf("server/testdata/docs.png is %.1f away from /docs, want at most %.1f; look at the page, then run "+
			"`task check:browser -- -update`", got, pictureTolerance)
	}

	// What the comparison has to refuse.
	for _, tag := range []string{"Registration", "Sign-in"} {
		page.click("#operations-tag-" + tag)
		page.do("collapse "+tag, chromedp.WaitNotPresent(chromedp.CSS(`[id^="operations-`+tag+`-"]`)))
	}
	beyond := b.openDocs(t, light, "#/Users/listUsers")
	beyond.showsOpen("#/Users/listUsers")
	for name, other := range map[string]image.Image{
		"the dark theme":                   b.openDocs(t, dark, "").picture(),
		"the page with two tags collapsed": page.picture(),
		"the page beyond its introduction": beyond.picture(),
		"a picture of another size":        image.NewRGBA(image.Rect(0, 0, pictureWidth, pictureHeight-1)),
	} {
		got := pictureDistance(shown, other)
		if got <= pictureTolerance {
			t.Errorf("%s is %.1f away, and would pass as the picture of the README", name, got)
		}
		t.Logf("%s: %.1f away", name, got)
	}
}

// picture is what the tab shows.
func (t *tab) picture() image.Image {
	t.t.Helper()
	data, err := chromedp.Run(t.ctx, chromedp.CaptureScreenshot())
	must(t.t, "take a picture", err)
	taken, err := png.Decode(bytes.NewReader(data))
	must(t.t, "read the picture", err)
	return taken
}

func readPicture(t *testing.T, path string) image.Image {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxPictureBytes {
		t.Errorf("%s has %d bytes, want at most %d", path, len(data), maxPictureBytes)
	}
	shown, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return shown
}

// encodePicture keeps the 256 most frequent colours, of about 2000: what is lost is the shade of some edges of
// letters, and the file is a third as large.
func encodePicture(t *testing.T, picture image.Image) []byte {
	t.Helper()
	bounds := picture.Bounds()
	uses := map[color.Color]int{}
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			uses[picture.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(uses), func(a, b color.Color) int { return cmp.Compare(uses[b], uses[a]) })
	small := image.NewPaletted(bounds, colours[:min(len(colours), 256)])
	draw.Draw(small, bounds, picture, bounds.Min, draw.Src)
	var data bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&data, small); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// pictureDistance is how far the colours of two pictures are apart: 0 when they are the same, 255 when one is black
// and the other white, or when their sizes differ.
func pictureDistance(a, b image.Image) float64 {
	if a.Bounds().Size() != b.Bounds().Size() {
		return 255
	}
	colours, others := blockColours(a), blockColours(b)
	sum := 0.0
	for i := range colours {
		sum += max(difference(colours[i][0], others[i][0]), difference(colours[i][1], others[i][1]), difference(colours[i][2], others[i][2]))
	}
	return sum / float64(len(colours))
}

func difference(a, b float64) float64 { return max(a-b, b-a) }

// blockColours are the mean red, green and blue of each block, from 0 to 255.
func blockColours(picture image.Image) [][3]float64 {
	bounds := picture.Bounds()
	columns := (bounds.Dx() + pictureBlock - 1) / pictureBlock
	rows := (bounds.Dy() + pictureBlock - 1) / pictureBlock
	sums, counts := make([][3]float64, columns*rows), make([]float64, columns*rows)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r, g, b, _ := picture.At(bounds.Min.X+x, bounds.Min.Y+y).RGBA()
			block := y/pictureBlock*columns + x/pictureBlock
			for channel, value := range []uint32{r, g, b} {
				sums[block][channel] += float64(value) / 257 // 16 bits to 8
			}
			counts[block]++
		}
	}
	for block := range sums {
		for channel := range sums[block] {
			sums[block][channel] /= counts[block]
		}
	}
	return sums
}
